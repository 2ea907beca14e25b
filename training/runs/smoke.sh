#!/usr/bin/env bash
# Everything in small, from no data to a bundle: does this machine do it? About 20 s on 2 idle cores without a GPU,
# 50 MB of disk. What comes out knows nothing. Killed at any moment it goes on where it was.
# Usage: training/runs/smoke.sh FOLDER [PATIENTS]
set -euo pipefail
work=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."
patients=${2:-1000}

[ -f "$work/cohort/cohort.json" ] || python -m training.cohort simulated --out "$work/cohort" --patients "$patients"
python -m training.train --cohort "$work/cohort" --out "$work/l1" --epochs 2 --batch-size 64 --checkpoint-steps 5
python -m training.train --cohort "$work/cohort" --out "$work/dist" --init "$work/l1" --head-only \
  --loss dist --dist-weight 0.25 --weights inv --epochs 4 --learning-rate 1e-3
python -m training.export --run "$work/dist" --reference "$work/l1" --cohort "$work/cohort" --out "$work/bundle" --name smoke
