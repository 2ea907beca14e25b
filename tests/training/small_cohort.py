"""A cohort of noise, whose first lead is the higher the more potassium there is; made at once, trained in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecg_ka.preprocess import SignalSpec
from training.cohort.writer import CohortWriter, Part

SHORT = SignalSpec(duration_s=1.0, min_duration_s=0.5)


def small_cohort(folder: Path, spec: SignalSpec = SHORT, n: int = 160) -> Path:
    """``n`` patients with an ECG each, written as every cohort is."""
    rng = np.random.default_rng(0)
    potassium = np.round(rng.normal(4.4, 0.9, n).clip(2.5, 7.5), 1).astype(np.float32)
    steps = rng.integers(-300, 300, (n, len(spec.leads), spec.n_samples)).astype(np.int16)
    steps[:, 0] += (100 * potassium[:, None]).astype(np.int16)
    with CohortWriter(folder, spec, "small") as writer:
        writer.add(Part(steps, {"patient": np.array([f"p{i}" for i in range(n)]), "potassium_mmol_l": potassium}))
        writer.finish({"is_simulated": True, "description": "noise"})
    return folder
