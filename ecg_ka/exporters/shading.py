"""Which stretches of a lead are shaded on the page, and how strongly: the waves that move the estimate."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_ka.explanation import Explanation

LEGEND = (
    "Shaded: waves that raise the estimate (orange) or lower it (blue), the stronger the more it changes without them."
)

_RAISES, _LOWERS = "#e07b00", "#2a6fb0"
_LEAST_MMOL_L = 0.05  # smaller changes are not drawn
_STRONGEST = 0.45  # opacity: the grid stays visible


@dataclass(frozen=True, slots=True)
class Stripe:
    """A stretch of time in seconds from the start of the record, its colour and opacity."""

    start_s: float
    stop_s: float
    colour: str
    opacity: float


def stripes(found: Explanation, lead: str, start_s: float, stop_s: float) -> list[Stripe]:
    """What is shaded in one lead between two times; nothing in leads that the model does not see."""
    most = max((abs(e.change_mmol_l) for e in found.effects if e.change_mmol_l is not None), default=0.0)
    out = []
    for span in found.spans:
        change = found.effect(span.wave, lead)
        first, last = max(start_s, span.start_s), min(stop_s, span.stop_s)
        if abs(change) >= _LEAST_MMOL_L and first < last:
            colour = _RAISES if change < 0 else _LOWERS
            out.append(Stripe(first, last, colour, _STRONGEST * abs(change) / most))
    return out
