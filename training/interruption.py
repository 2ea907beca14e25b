"""SIGTERM and Ctrl-C end a run between two steps, with a checkpoint."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again, here by the same command


class Interrupted(Exception):
    """A run stopped because it was asked to; it can go on."""


class Interruption:
    """While it lasts, the first signal is noted in ``is_asked_for``; a second one acts as if it were the first."""

    def __init__(self) -> None:
        self.is_asked_for = False
        self._before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def __enter__(self) -> Interruption:
        for number in self._before:
            signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.is_asked_for = True
        self.__exit__(None, None, None)
