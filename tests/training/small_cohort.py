"""A simulated cohort of which each ECG lasts one second: it is made and trained in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from training.cohort.simulated import SimulatedConfig, build

N_SAMPLES = 250


def full_cohort(folder: Path, patients: int) -> Path:
    """With an ECG each."""
    build(SimulatedConfig(out=folder, patients=patients, workers=1))
    return folder


def small_cohort(folder: Path, patients: int = 160) -> Path:
    """The same, cut after a second."""
    signals = np.load(full_cohort(folder, patients) / "signals.npy")
    np.save(folder / "signals.npy", signals[:, :, :N_SAMPLES])
    about = json.loads((folder / "cohort.json").read_text())
    about["signal"]["duration_s"] = 1.0
    (folder / "cohort.json").write_text(json.dumps(about))
    return folder
