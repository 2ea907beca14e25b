"""How often is too often: a token bucket a name."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_MAX_NAMES = 10_000


class Buckets:
    """Each name may take ``burst`` at once and ``rate_per_s`` in the long run.

    At most 10,000 names are remembered, those seen last: memory stays bounded whoever asks. It belongs to one event
    loop and needs no lock.
    """

    def __init__(self, rate_per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._clock = clock
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name: (how full, when)

    def wait_s(self, name: str) -> float:
        """How long until this name may take one; 0 when it may now."""
        return max(0.0, (1.0 - self._level(name)) / self._rate_per_s)

    def take(self, name: str) -> None:
        """Take one, or what is left."""
        level = max(0.0, self._level(name) - 1.0)
        self._filled[name] = (level, self._clock())
        self._filled.move_to_end(name)
        if len(self._filled) > _MAX_NAMES:
            self._filled.popitem(last=False)

    def _level(self, name: str) -> float:
        level, at = self._filled.get(name, (self._burst, self._clock()))
        return min(self._burst, level + (self._clock() - at) * self._rate_per_s)
