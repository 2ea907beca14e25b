"""Processes that share out a list of work. One that dies, or is killed, costs no other item its result."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 3
"""Items a process that may be under way or waiting: the memory they take is bounded."""


@dataclass(frozen=True, slots=True)
class Workers(Generic[Item, Result]):
    """``processes`` that compute ``function``, which is pickled, as items and results are."""

    function: Callable[[Item], Result]
    processes: int

    def finished(self, items: Iterable[Item]) -> Iterator[tuple[Item, Result | None]]:
        """Each item with its result, in the order in which they get done; None for one whose process died even when
        it was all that was under way."""
        left = iter(items)
        while suspects := (yield from self._until_one_dies(left)):
            for item in suspects:
                yield item, self.alone(item)

    def alone(self, item: Item) -> Result | None:
        """The result of one item in a process of its own; None if that dies."""
        with executor(1) as processes:
            try:
                return processes.submit(self.function, item).result()
            except BrokenProcessPool:
                return None

    def _until_one_dies(self, items: Iterator[Item]) -> Generator[tuple[Item, Result], None, list[Item]]:
        """Yields what gets done; returns the items that were under way when a process died."""
        waiting: dict[Future[Result], Item] = {}
        with executor(self.processes) as processes:
            try:
                for item in items:
                    try:
                        waiting[processes.submit(self.function, item)] = item
                    except BrokenProcessPool:
                        return [*waiting.values(), item]
                    if len(waiting) >= AHEAD * self.processes:
                        yield from _done(waiting)
                while waiting:
                    yield from _done(waiting)
            except BrokenProcessPool:
                return list(waiting.values())
            finally:
                for future in waiting:
                    future.cancel()
        return []


def _done(waiting: dict[Future[Result], Item]) -> Iterator[tuple[Item, Result]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        result = future.result()
        yield waiting.pop(future), result


def executor(processes: int) -> ProcessPoolExecutor:
    """New processes (not forked ones: threads of libraries do not survive that) of one thread each, that end when this
    one does."""
    one_thread()  # before they start: libraries read it when they are imported
    return ProcessPoolExecutor(processes, get_context("spawn"), _start)


def one_thread() -> None:
    """Processes that share the cores: none may start threads of its own."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends the work at hand in order
    warnings.simplefilter("ignore")  # libraries quote in them what they read, control characters included
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent closes nothing that its workers could notice: without this they would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
