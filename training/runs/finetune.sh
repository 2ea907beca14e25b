#!/usr/bin/env bash
# The shipped bundle goes on with a hospital's own ECGs: TABLE lists path, potassium_mmol_l and patient. All of the network
# a little, then the head with Dist Loss; calibrated and evaluated on patients it was not trained on. It takes a CPU some
# hours for 100,000 ECGs; a GPU is taken if there is one. Killed at any moment it goes on where it was.
# Usage: training/runs/finetune.sh TABLE FOLDER
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 TABLE FOLDER" >&2; exit 2; }
table=$(realpath "$1") work=$(mkdir -p "$2" && cd "$2" && pwd)
cd "$(dirname "$0")/../.."

[ -f "$work/cohort/cohort.json" ] || python -m training.cohort manifest --table "$table" --out "$work/cohort"
python -m training.train --cohort "$work/cohort" --out "$work/l1" --init ecg_ka/bundles/demo \
  --epochs 10 --patience 3 --learning-rate 5e-4 --ema 0.99
python -m training.train --cohort "$work/cohort" --out "$work/dist" --init "$work/l1" --head-only \
  --loss dist --dist-weight 0.25 --weights inv --epochs 12 --batch-size 1024 --learning-rate 1e-3
python -m training.export --run "$work/dist" --reference "$work/l1" --cohort "$work/cohort" --out "$work/bundle" --name finetuned
[ -f "$work/report/report.json" ] || python -m training.evaluate --bundle "$work/bundle" --cohort "$work/cohort" \
  --out "$work/report"
