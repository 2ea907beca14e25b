"""The T wave, with what follows it up to the next P, of a usual adult ECG at 4.2 mmol/L, lead by lead.

Medians over 120 simulated patients, aligned at the peak of T before they were taken: an average of T waves that peak at
different times is broader and more symmetric than any of them, and the network takes that for a change of potassium.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.02
FIRST_S = -0.16
"""The first column of the table, from the peak of T in a heart that beats 60 times a minute."""

_THOUSANDTHS: dict[str, tuple[int, ...]] = {
    "I": (29, 31, 40, 57, 83, 123, 186, 261, 323, 276, 198, 97, 44, 22, 13, 10, 9, 10, 6, 6, 7, 5, 6, 3, 7, 10, 13, 12, 9, 0),
    "II": (25, 29, 43, 59, 92, 138, 193, 244, 271, 240, 160, 90, 42, 25, 23, 21, 19, 17, 12, 10, 9, 6, 8, 7, 7, 8, 7, 10, 8, 0),
    "V1": (21, 28, 39, 43, 48, 50, 42, 10, -21, -42, -30, -12, 0, 8, 13, 16, 15, 9, 7, 5, 2, 2, 2, 3, 3, 4, 3, 3, 3, 0),
    "V2": (55, 71, 92, 113, 147, 189, 239, 269, 270, 220, 140, 67, 30, 18, 18, 17, 16, 11, 6, 2, 1, 0, 0, 1, 1, 1, 2, 1, 1, 0),
    "V3": (45, 48, 62, 83, 114, 160, 215, 267, 288, 240, 162, 76, 34, 21, 19, 19, 18, 12, 8, 3, 2, 0, 1, 1, 2, 0, 1, 3, 1, 0),
    "V4": (21, 25, 31, 48, 73, 103, 152, 208, 233, 203, 141, 69, 29, 14, 15, 14, 13, 9, 5, 2, 2, 0, 1, 1, 1, 2, 3, 2, 1, 0),
    "V5": (16, 17, 23, 35, 53, 79, 122, 184, 222, 201, 132, 64, 27, 13, 11, 10, 9, 6, 4, 1, 0, 1, 1, 1, 3, 2, 2, 3, 2, 0),
    "V6": (13, 12, 18, 30, 43, 69, 110, 181, 217, 199, 134, 66, 27, 11, 6, 5, 4, 3, 3, 1, 0, 0, 2, 3, 2, 2, 2, 3, 2, 0),
}
"""Height over the end of the PR segment by time, as a share of the swing of QRS in the same lead."""


def usual_t(lead: str, after_peak_s: NDArray[np.float64], rr_s: float) -> NDArray[np.float64]:
    """Height (n,) of T at times (n,) from its peak, as a share of the swing of QRS; 0 in leads without a table.

    T gets longer with the cube root of the beat interval, as QT does (Fridericia 1920).
    """
    heights = np.array(_THOUSANDTHS.get(lead, (0,))) / 1000
    times_s = FIRST_S + STEP_S * np.arange(len(heights))
    return np.interp(after_peak_s / np.cbrt(rr_s), times_s, heights)
