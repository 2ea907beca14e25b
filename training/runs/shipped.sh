#!/usr/bin/env bash
# The shipped bundle from nothing: features trained with L1 on an enriched cohort, Dist Loss head on the natural one,
# calibration, evaluation, model card. On 2 cores without a GPU in about an hour and a half, a third of which is the L1
# network that the card compares with; the cohorts take 14 GB of disk. Killed at any moment it goes on where it was.
# Usage: training/runs/shipped.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-runs/shipped}

python -m training.cohort simulated --out "$work/cohort" --patients 160000 --preset published --prior wide --seed 1
python -m training.cohort simulated --out "$work/enriched" --patients 160000 --preset published --prior mix --seed 1
python -m training.cohort simulated --out "$work/repeats" --patients 2500 --visits 6 --preset published --prior wide \
  --seed 2
python -m training.train --cohort "$work/enriched" --out "$work/features" --loss l1 --epochs 6 --seed 1
python -m training.train --cohort "$work/cohort" --out "$work/dist" --init "$work/features" --head-only \
  --loss dist --dist-weight 0.1 --weights shots --few-share 0.5 --epochs 12 --batch-size 2048 --learning-rate 1e-3 --seed 1
python -m training.train --cohort "$work/cohort" --out "$work/l1" --loss l1 --epochs 6 --seed 1
python -m training.export --run "$work/dist" --reference "$work/l1" --cohort "$work/cohort" \
  --repeats "$work/repeats" --out ecg_ka/bundles/demo --version 0.2.4
