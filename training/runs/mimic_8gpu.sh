#!/usr/bin/env bash
# As mimic.sh, with the features trained on all GPUs of a machine (8, or GPUS). The batch of 4096 is that of all of them
# together: on one GPU the same command gives the same losses. The head takes a minute, and one GPU.
# Usage: training/runs/mimic_8gpu.sh ECG MIMIC FOLDER
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: $0 ECG MIMIC FOLDER" >&2; exit 2; }
ecg=$(cd "$1" && pwd) mimic=$(cd "$2" && pwd) work=$(mkdir -p "$3" && cd "$3" && pwd)
cd "$(dirname "$0")/../.."

[ -f "$work/cohort/cohort.json" ] || python -m training.cohort mimic --ecg "$ecg" --mimic "$mimic" --out "$work/cohort"
torchrun --standalone --nproc-per-node "${GPUS:-8}" \
  -m training.train --cohort "$work/cohort" --out "$work/l1" --device cuda --compile --draws by-position \
  --augmentation full --epochs 30 --patience 6 --batch-size 4096 --learning-rate 4e-3 --ema 0.999 --read-threads 4 --tensorboard
python -m training.train --cohort "$work/cohort" --out "$work/dist" --init "$work/l1" --head-only --device cuda \
  --loss dist --dist-weight 0.25 --weights inv --epochs 12 --batch-size 2048 --learning-rate 1e-3
python -m training.export --run "$work/dist" --reference "$work/l1" --cohort "$work/cohort" --out "$work/bundle" --name mimic
[ -f "$work/report/report.json" ] || python -m training.evaluate --bundle "$work/bundle" --cohort "$work/cohort" \
  --out "$work/report"
