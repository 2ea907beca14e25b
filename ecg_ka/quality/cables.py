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

from ecg_ka.quality.averaged_beat import AveragedBeat
from ecg_ka.quality.einthoven import square_of

_LEVEL_S = (-0.080, -0.048)  # between P and QRS, where the heart is silent
_WAVES_S = ((-0.24, -0.072), (-0.064, 0.08), (0.144, 0.40))  # P, QRS, T
_FLOOR = 0.05  # of the QRS: a smaller wave, or the noise where P is missing, has little say
_LEAST_GAIN = {"RA and LA": 2.0, "RA and LL": 4.0}


def interchanged_cables(beat: AveragedBeat) -> str | None:
    """``"RA and LA"`` or ``"RA and LL"`` where those limb cables look interchanged, else None.

    V6 keeps its view whichever limb cables are interchanged, and looks from where I and, less closely, II look. In the
    average beat their P, QRS and T are therefore mostly alike. The correlations of these waves with V6 are added up for
    I and II as they were recorded and as they would be with the cables put right (I upside down and III for II; III
    upside down for I and II upside down); a pair is named when that raises the sum by more than its limit. Without a
    beat in I, II and V6 nothing is said.
    """
    needed = ("I", "II", "V6")
    if not set(needed) <= set(beat.names):
        return None
    leads = beat.signal_mv[[beat.names.index(name) for name in needed]].astype(np.float64)
    leads -= leads[:, beat.samples(*_LEVEL_S)].mean(axis=1, keepdims=True)
    waves = [leads[:, beat.samples(*span_s)] for span_s in _WAVES_S]
    products = [(wave @ wave.T).tolist() for wave in waves]
    sizes = [wave.shape[1] for wave in waves]
    floor = _FLOOR**2 * products[1][2][2] / sizes[1]
    i, ii, iii = (_agreement(lead, products, [floor * n for n in sizes]) for lead in ((1, 0), (0, 1), (-1, 1)))
    gains = {"RA and LA": iii - i - (i + ii), "RA and LL": -iii - ii - (i + ii)}
    raised = {pair: gain for pair, gain in gains.items() if gain > _LEAST_GAIN[pair]}
    return max(raised, key=raised.__getitem__, default=None)


def _agreement(lead: tuple[int, int], products: list[list[list[float]]], floors: list[float]) -> float:
    """The sum, -3 to 3, of the correlations of P, QRS and T in a lead with those in V6, from the ``products`` (3, 3) of
    I, II and V6 with each other over each wave. The lead is ``lead[0]`` times I and ``lead[1]`` times II; ``floors``
    (3,) keep a small wave from having a large say."""
    a, b = lead
    total = 0.0
    for ((i_i, i_ii, i_v6), (_, ii_ii, ii_v6), (_, _, v6_v6)), floor in zip(products, floors, strict=True):
        size = math.sqrt(square_of(lead, i_i, i_ii, ii_ii) * v6_v6) + floor
        total += (a * i_v6 + b * ii_v6) / size if size > 0 else 0.0
    return total
