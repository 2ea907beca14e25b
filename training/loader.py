"""Batches of signals, read from the memory map by threads before they are asked for, so that no GPU waits."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Loader:
    """``waited_s`` counts how long whoever asks for batches had to wait for them.

    ``pinned`` batches lie where a GPU fetches them by itself while the next one is read.
    """

    def __init__(self, signals: NDArray[np.int16], *, ahead: int, threads: int, pinned: bool) -> None:
        self._signals, self._ahead, self._threads, self._pinned = signals, ahead, threads, pinned
        self.waited_s = 0.0

    def batches(self, parts: Sequence[NDArray[np.int64]]) -> Iterator[Tensor]:
        """Signals (B, leads, T) int16 at each part (B,) of rows, in their order."""
        with ThreadPoolExecutor(self._threads, "loader") as threads:
            waiting: deque[Future[Tensor]] = deque()
            try:
                for rows in parts:
                    waiting.append(threads.submit(self._read, rows))
                    if len(waiting) > self._ahead:
                        yield self._first(waiting)
                while waiting:
                    yield self._first(waiting)
            finally:
                threads.shutdown(cancel_futures=True)

    def _first(self, waiting: deque[Future[Tensor]]) -> Tensor:
        started = time.monotonic()
        batch = waiting.popleft().result()
        self.waited_s += time.monotonic() - started
        return batch

    def _read(self, rows: NDArray[np.int64]) -> Tensor:
        """Straight to where the batch stays; ``take`` lets other threads run, and clips nothing: rows are checked."""
        batch = torch.empty((len(rows), *self._signals.shape[1:]), dtype=torch.int16, pin_memory=self._pinned)
        np.take(self._signals, rows, axis=0, out=batch.numpy(), mode="clip")
        return batch
