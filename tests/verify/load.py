"""What the service does under load, beside the library alone on the same core in the same minutes.

The server has one core of the machine, its clients and the database the other. Whoever else uses the machine slows both
sides, so they take turns, and what counts is the median of the ratios of neighbours.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import numpy as np

import ecg_ka
from tests.service.conftest import Server, running
from tests.verify.clients import Answer, Load, answered, body_of

N_CLIENTS = 8
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = _CORES[0], _CORES[-1]

Ecg = dict[str, bytes]


@contextmanager
def pinned(folder: Path, **settings: object) -> Iterator[Server]:
    """A server on its core, and this process on the other."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})  # what is started now stays there
    try:
        with running(folder, **settings) as server:
            os.sched_setaffinity(0, {CLIENT_CORE})
            yield server
    finally:
        os.sched_setaffinity(0, before)


class Library:
    """``read`` and ``Estimator.estimate`` in a process of its own, on the server's core."""

    def __init__(self, ecgs: Sequence[Ecg]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_estimate_when_told, args=(other, list(ecgs)), daemon=True)
        self._process.start()
        self._pipe.recv()

    def rounds(self, n_rounds: int) -> tuple[float, float]:
        """Seconds of the clock and of the processor for so many rounds over the files."""
        self._pipe.send(n_rounds)
        clock_s, processor_s = self._pipe.recv()
        return float(clock_s), float(processor_s)

    def close(self) -> None:
        self._pipe.send(0)
        self._process.join()


def _estimate_when_told(pipe: Pipe, ecgs: list[Ecg]) -> None:
    os.sched_setaffinity(0, {SERVER_CORE})
    estimator = ecg_ka.Estimator.load()
    sources: list[Any] = [ecg if len(ecg) > 1 else next(iter(ecg.values())) for ecg in ecgs]
    _estimate(estimator, sources)
    pipe.send(None)
    while n_rounds := pipe.recv():
        clock, processor = time.perf_counter(), time.process_time()
        for _ in range(n_rounds):
            _estimate(estimator, sources)
        pipe.send((time.perf_counter() - clock, time.process_time() - processor))


def _estimate(estimator: ecg_ka.Estimator, sources: list[Any]) -> None:
    for source in sources:
        estimator.estimate(ecg_ka.read(source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """One comparison: ``share`` by the clock, ``processor_share`` by the processor time of the server's process."""

    n_requests: int
    n_errors: int
    library_ms: float
    service_ms: float
    share: float
    processor_share: float
    quantiles_ms: tuple[float, float, float]


def throughput(server: Server, ecgs: Sequence[Ecg], n_turns: int, n_rounds: int) -> Throughput:
    """Library and service in turns, each so many rounds over the same files."""
    library = Library(ecgs)
    bodies = [body_of(ecg) for ecg in ecgs]
    n_requests = n_rounds * len(ecgs)
    answered(Load(server.port, bodies), N_CLIENTS, 4 * len(ecgs))  # every thread has been at work, and every reader
    alone: list[tuple[float, float]] = [library.rounds(n_rounds)]
    served: list[tuple[float, float]] = []
    answers: list[Answer] = []
    for _ in range(n_turns):
        clock, processor = time.perf_counter(), processor_s(server.process.pid)
        load = answered(Load(server.port, bodies), N_CLIENTS, n_requests)
        served.append((time.perf_counter() - clock, processor_s(server.process.pid) - processor))
        answers += load.answers
        alone.append(library.rounds(n_rounds))
    library.close()
    between = [tuple((a + b) / 2 for a, b in zip(*pair, strict=True)) for pair in itertools.pairwise(alone)]
    good = [1000 * answer.seconds for answer in answers if answer.status == 200]
    return Throughput(
        n_requests=len(answers),
        n_errors=len(answers) - len(good),
        library_ms=1000 * statistics.median(clock for clock, _ in alone) / n_requests,
        service_ms=1000 * statistics.median(clock for clock, _ in served) / n_requests,
        share=statistics.median(one[0] / other[0] for one, other in zip(between, served, strict=True)),
        processor_share=statistics.median(one[1] / other[1] for one, other in zip(between, served, strict=True)),
        quantiles_ms=_quantiles(good),
    )


def _quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    p50, p95, p99 = np.percentile(values, (50, 95, 99)) if values else (np.nan,) * 3
    return float(p50), float(p95), float(p99)


def processor_s(pid: int) -> float:
    """The processor time that a process has used, in s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """The memory that a process holds (RSS), in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
