"""Is the rhythm irregular from beat to beat, as in atrial fibrillation?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FEWEST_BEATS = 5
_SHARE = 0.75  # of the changes: one premature beat makes three large ones, and is not an irregular rhythm
_LARGEST_CHANGE = 0.17
"""Three changes in four are smaller in 98 % of PTB-XL ECGs in sinus rhythm; of the simulated ECGs with atrial
fibrillation 98 % lie above. docs/checks.md has the figures."""


def is_irregular(r_peaks: NDArray[np.int64]) -> bool:
    """Whether at least a quarter of the changes from one beat interval to the next exceeds 17 % of the median interval;
    no for fewer than 5 beats."""
    if r_peaks.size < _FEWEST_BEATS:
        return False
    intervals = r_peaks[1:] - r_peaks[:-1]
    changes = np.sort(np.abs(intervals[1:] - intervals[:-1]))
    at = _SHARE * (changes.size - 1)
    low, high = changes[int(at)], changes[min(int(at) + 1, changes.size - 1)]
    return float(low + (at - int(at)) * (high - low)) > _LARGEST_CHANGE * float(np.sort(intervals)[intervals.size // 2])
