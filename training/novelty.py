"""The novelty model of a bundle: what the training ECGs of a cohort look like, how far its calibration ECGs lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecg_ka.network import PotassiumNet
from ecg_ka.uncertainty import Fingerprint, NoveltyModel, fingerprint
from training.cohort import Cohort, Split
from training.trainer import embed

MOST_TRAINING_ECGS = 20_000
"""Drawn at random where there are more: a covariance of 140 numbers needs no more."""

_SEED = 1


def fit_novelty(network: PotassiumNet, cohort: Cohort) -> NoveltyModel:
    """From the first ECG of each patient of the training split, and of the calibration split."""
    rows = cohort.first_rows(Split.TRAIN)
    drawn = np.random.default_rng(_SEED).permutation(len(rows))[:MOST_TRAINING_ECGS]
    training, calibration = (seen(network, cohort, r) for r in (rows[np.sort(drawn)], cohort.rows(Split.CALIBRATION)))
    return NoveltyModel.fit(*training, calibration)


def seen(
    network: PotassiumNet, cohort: Cohort, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], list[Fingerprint]]:
    """Peaks (n, E / 4) of the features, and fingerprints, of the ECGs at ``rows``."""
    fs_hz = float(cohort.about["signal"]["fs_hz"])
    found = [fingerprint(cohort.signal_mv(rows[i : i + 1])[0], fs_hz) for i in range(len(rows))]
    return network.peaks(embed(network, cohort, rows)).numpy(), found
