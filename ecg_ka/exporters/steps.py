"""Samples as 16 bit integers, for the formats that store them so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import EcgError
from ecg_ka.record import EcgRecord

_LARGEST = 32767
_STEPS_PER_MV = (20_000, 10_000, 4_000, 2_000, 1_000, 500, 200, 100, 50, 20, 10)
"""0.05 to 100 microvolts: the steps of carts (1, 1.25, 2.5, 5 microvolts) are multiples of the finest."""


def steps_per_mv(record: EcgRecord) -> int:
    """The finest scale at which the whole record fits in 16 bits; the lowest value, which means "no sample", is free.

    Raises:
        EcgError: the signal is beyond 3 V.
    """
    largest_mv = float(np.abs(record.signal_mv).max())
    for steps in _STEPS_PER_MV:
        if largest_mv * steps <= _LARGEST:
            return steps
    raise EcgError(f"a signal of {largest_mv:g} mV does not fit in 16 bits; is its unit right? CSV takes it as it is")


def in_steps(record: EcgRecord) -> NDArray[np.int16]:
    """The samples (leads, n) in whole steps of the scale of :func:`steps_per_mv`."""
    counts: NDArray[np.int16] = np.rint(record.signal_mv.astype(np.float64) * steps_per_mv(record)).astype("<i2")
    return counts
