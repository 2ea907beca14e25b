#!/usr/bin/env bash
# A cohort to a bundle: features with L1, the head again with Dist Loss, calibration. A GPU is taken if there is one. What
# follows FOLDER is handed to both trainings, as --epochs 3. Killed at any moment it goes on where it was.
# Usage: training/runs/fit.sh COHORT FOLDER [OPTION...]
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 COHORT FOLDER [OPTION...]" >&2; exit 2; }
[ -d "$1" ] || { echo "error: there is no folder $1; python -m training.cohort makes a cohort" >&2; exit 1; }
cohort=$(cd "$1" && pwd) work=$(mkdir -p "$2" && cd "$2" && pwd)
shift 2
cd "$(dirname "$0")/../.."

python -m training.train --cohort "$cohort" --out "$work/l1" --epochs 12 --patience 3 --ema 0.99 "$@"
python -m training.train --cohort "$cohort" --out "$work/dist" --init "$work/l1" --head-only \
  --loss dist --dist-weight 0.25 --weights inv --epochs 12 --learning-rate 1e-3 "$@"
python -m training.export --run "$work/dist" --reference "$work/l1" --cohort "$cohort" --out "$work/bundle" --name retrained
