"""A progress bar for long work, on standard error, without dependencies."""

from __future__ import annotations

import sys
import time


class Progress:
    """``step()`` after each unit of work; prints at most twice a second on a terminal, every 30 s into a log."""

    def __init__(self, label: str, total: int, *, done: int = 0) -> None:
        self._label, self._total, self._done, self._done_before = label, total, done, done
        self._started = self._printed = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    @property
    def is_due(self) -> bool:
        """Will the next step print? A note that costs something is worth making only then."""
        return time.monotonic() - self._printed >= (0.5 if self._is_terminal else 30.0)

    def step(self, n: int = 1, note: str = "") -> None:
        """``n`` more units are done; ``note`` stands behind the bar."""
        self._done += n
        if self._done < self._total and not self.is_due:
            return
        now = self._printed = time.monotonic()
        rate = (self._done - self._done_before) / max(now - self._started, 1e-9)
        bar = "#" * (20 * self._done // self._total)
        left_s = (self._total - self._done) / max(rate, 1e-9)
        line = f"{self._label} [{bar:20}] {self._done}/{self._total} {rate:.0f}/s, {_duration(left_s)} left {note}"
        end = "\n" if self._done >= self._total or not self._is_terminal else ""
        print(f"\r{line}" if self._is_terminal else line, end=end, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest_s:02} s" if minutes else f"{rest_s} s"
