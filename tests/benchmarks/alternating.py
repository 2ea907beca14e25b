"""Processor time of several contenders that take turns, so that a busy machine slows all of them.

Not the time on the wall: of the two, the processor's does not count what other programs were given meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, and the quartiles around it."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Spread:
        """Of one value a round."""
        lower, median, upper = np.percentile(values, (25, 50, 75)).tolist()
        return cls(median=median, lower=lower, upper=upper)

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.lower:{spec}} to {self.upper:{spec}})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rounds:
    """Milliseconds of one call of each contender, one value a round (rounds,)."""

    ms: dict[str, NDArray[np.float64]]

    def time_ms(self, name: str) -> Spread:
        """Of one contender."""
        return Spread.of(self.ms[name])

    def ratio(self, slow: str, fast: str) -> Spread:
        """How many times as long the one takes as the other, compared within each round."""
        return Spread.of(self.ms[slow] / self.ms[fast])


def take_turns(contenders: Mapping[str, Callable[[], object]], rounds: int, repeats: int = 1) -> Rounds:
    """One warm call of each, then ``rounds`` rounds in which each is called ``repeats`` times, as
    many for all: the first call after another contender finds its data no longer in the cache."""
    ms: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(rounds):
        for name, call in contenders.items():
            started = time.process_time()
            for _ in range(repeats):
                call()
            ms[name].append(1e3 * (time.process_time() - started) / repeats)
    return Rounds(ms={name: np.array(values) for name, values in ms.items()})


def least(measure: Callable[[], float], enough: float, most: int) -> float:
    """The least that ``measure`` gives in up to ``most`` calls, of which none follows one that is ``enough``: other
    programs on the same host only add to a time, so that one that was short shows what the code takes."""
    found = measure()
    for _ in range(most - 1):
        if found <= enough:
            break
        found = min(found, measure())
    return found
