"""Several processes that share out a list of work, the results in its order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ecg_ka.scoring.workers import AHEAD, executor

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered(function: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Iterator[Result]:
    """``function`` of each item; with one process in this one, which starts none.

    Raises:
        ChildProcessError: a process died.
    """
    if processes == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with executor(processes) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= AHEAD * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise ChildProcessError(
                "a worker process died, perhaps of too little memory; fewer --workers, and the same command goes on"
            ) from None
        finally:
            for future in waiting:
                future.cancel()
