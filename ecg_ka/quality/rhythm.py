"""Is the rhythm irregular from beat to beat, as in atrial fibrillation?"""

from __future__ import annotations

from itertools import pairwise

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
    intervals = [after - before for before, after in pairwise(r_peaks.tolist())]
    changes = sorted(abs(after - before) for before, after in pairwise(intervals))
    at, part = divmod(_SHARE * (len(changes) - 1), 1)
    low, high = changes[int(at)], changes[min(int(at) + 1, len(changes) - 1)]
    return bool(low + part * (high - low) > _LARGEST_CHANGE * sorted(intervals)[len(intervals) // 2])
