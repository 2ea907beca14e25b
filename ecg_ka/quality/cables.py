"""Are limb cables interchanged? What I and II would look like beside V6 if they were.

The limits were set on 1,860 simulated ECGs and PTB-XL 1-100. On others, each with a twin whose cables are interchanged
by calculation, the flag was raised for

- 1,845 simulated ECGs (all conditions, noise, published effects): 98.0 % of the twins with RA and LA interchanged
  (94.8 % with the right pair named; every condition above 91 % but pacing, 70 %), 89.4 % of those with RA and LL, and
  1.2 % as they are, all but one of them paced or with left bundle branch block, where I and II need not resemble V6;
- PTB-XL 101-200: 94 %, 93 %, and 2 % as they are, one paced ECG that stands there twice. Of PTB-XL 1-100 none is.

The simulator makes it a little too easy: its hearts vary less than real ones. RA for LA in atrial fibrillation is found
as well (97 % of 155), because QRS and T suffice. LA for LL leaves I and II alike V6 and is not seen (1.9 %, as many as
false alarms), and interchanged chest cables are not sought. A heart on the right turns I and V6 together: it is hardly
ever taken for RA and LA, but in 40 to 50 % for RA and LL.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ecg_ka.quality.einthoven import square_of

_FLOOR = 0.05  # of the QRS: a smaller wave, or the noise where P is missing, has little say
_LEAST_GAIN = {"RA and LA": 2.0, "RA and LL": 4.0}

Products = list[list[float]]


def interchanged_cables(names: tuple[str, ...], products: NDArray[np.float64]) -> str | None:
    """``"RA and LA"`` or ``"RA and LL"`` where those limb cables look interchanged, else None; from the wave products
    (3, leads, leads) of an averaged beat.

    V6 keeps its view whichever limb cables are interchanged, and looks from where I and, less closely, II look. In the
    average beat their P, QRS and T are therefore mostly alike. The correlations of these waves with V6 are added up for
    I and II as they were recorded and as they would be with the cables put right (I upside down and III for II; III
    upside down for I and II upside down); a pair is named when that raises the sum by more than its limit. Without I,
    II and V6 nothing is said.
    """
    needed = ("I", "II", "V6")
    if not set(needed) <= set(names):
        return None
    rows = [names.index(name) for name in needed]
    waves: list[Products] = products[:, rows][:, :, rows].tolist()
    floor = _FLOOR**2 * waves[1][2][2]  # of V6 in QRS
    i, ii, iii = (_agreement(lead, waves, floor) for lead in ((1, 0), (0, 1), (-1, 1)))
    gains = {"RA and LA": iii - i - (i + ii), "RA and LL": -iii - ii - (i + ii)}
    raised = {pair: gain for pair, gain in gains.items() if gain > _LEAST_GAIN[pair]}
    return max(raised, key=raised.__getitem__, default=None)


def _agreement(lead: tuple[int, int], waves: list[Products], floor: float) -> float:
    """The sum, -3 to 3, of the correlations of P, QRS and T in a lead with those in V6, from the products (3, 3) of I,
    II and V6 with each other in each of these ``waves``. The lead is ``lead[0]`` times I and ``lead[1]`` times II;
    ``floor`` keeps a small wave from having a large say."""
    a, b = lead
    total = 0.0
    for (i_i, i_ii, i_v6), (_, ii_ii, ii_v6), (_, _, v6_v6) in waves:
        size = math.sqrt(square_of(lead, i_i, i_ii, ii_ii) * v6_v6) + floor
        total += (a * i_v6 + b * ii_v6) / size if size > 0 else 0.0
    return total
