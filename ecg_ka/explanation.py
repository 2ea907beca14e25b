"""Which part of the beat moves the estimate: a small table, and where on the tracing its waves lie."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class Wave(StrEnum):
    """A part of the beat; ``T`` goes on to the next P, so that it holds a U wave."""

    P = "P"
    QRS = "QRS"
    ST = "ST"
    T = "T(U)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveEffect:
    """By how much the estimate changes when one wave of these leads is replaced, T by a usual T, the others by the
    record's own baseline: below zero where the wave raises the estimate. None when the record has no such wave."""

    wave: Wave
    leads: tuple[str, ...]
    change_mmol_l: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSpan:
    """Where one wave of one beat lies, in seconds from the start of the record."""

    wave: Wave
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """``effects`` by wave and lead group, and the ``spans`` that were replaced. What it tells is how the network
    answers to a changed signal, not why the patient's ECG looks as it does."""

    potassium_mmol_l: float
    effects: tuple[WaveEffect, ...]
    spans: tuple[WaveSpan, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    def later(self, shift_s: float) -> Explanation:
        """The same, with all spans moved in time."""
        spans = (replace(s, start_s=s.start_s + shift_s, stop_s=s.stop_s + shift_s) for s in self.spans)
        return replace(self, spans=tuple(spans))

    def effect(self, wave: Wave, lead: str) -> float:
        """The effect of a wave in the smallest group that a lead is in; 0 where there is none."""
        groups = [e for e in self.effects if e.wave is wave and lead in e.leads]
        smallest = min(groups, key=lambda e: len(e.leads), default=None)
        return 0.0 if smallest is None or smallest.change_mmol_l is None else smallest.change_mmol_l
