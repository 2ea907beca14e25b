#!/usr/bin/env bash
# docs/comparison.md and its pictures from nothing: about an hour on 2 idle cores without a GPU, 6.5 GB of disk. Killed at
# any moment it goes on where it was. Usage: training/runs/compare.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-runs/compare}

python -m training.compare --out "$work"
mkdir -p docs/comparison
cp "$work/comparison.md" docs/
cp "$work"/comparison/*.png docs/comparison/
