#!/usr/bin/env bash
# The shipped bundle from nothing: simulated cohort, L1 features, Dist Loss head, calibration, evaluation, model card.
# On 2 cores without a GPU in under an hour; the cohort takes 6.5 GB of disk. Usage: training/runs/shipped.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-runs/shipped}

python -m training.cohort simulated --out "$work/cohort" --patients 160000 --preset published --prior wide --seed 1
python -m training.train --cohort "$work/cohort" --out "$work/l1" --loss l1 --epochs 8 --seed 1
python -m training.train --cohort "$work/cohort" --out "$work/dist" --init "$work/l1" --head-only \
  --loss dist --dist-weight 0.25 --weights inv --epochs 12 --batch-size 2048 --learning-rate 1e-3 --seed 1
python -m training.cohort.simulated --out "$work/repeats" --patients 2500 --visits 6 --preset published --prior wide \
  --seed 2
python -m training.export --run "$work/dist" --reference "$work/l1" --cohort "$work/cohort" \
  --repeats "$work/repeats" --out ecg_ka/bundles/demo
