"""What the service does under load, beside the library alone on the same core in the same minutes.

The server has one core of the machine, its clients and the database the other. Whoever else uses the machine slows both
sides, so they take turns, and what counts is the median of the ratios of neighbours.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import numpy as np

import ecg_ka
from tests.service.conftest import Server, running
from tests.verify.clients import Answer, Load, answered, body_of, loaded

N_CLIENTS = 8
UNLIMITED = {"rate_limit_per_s": 100_000}
"""Clients of one address would be told 429 before the processor is busy."""

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


@contextmanager
def at_the_clients() -> Iterator[None]:
    """What is started in this block has the clients' core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CLIENT_CORE})
    try:
        yield
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
    """One comparison: ``share`` by the clock, ``processor_share`` by the time that the processor worked for library and
    server. While others use the same core the clock tells how the system divided it: the server, with its threads, gets
    more of it than the library with one. ``*_ms`` is processor time for one estimate."""

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
    beside = [tuple((a + b) / 2 for a, b in zip(*pair, strict=True)) for pair in itertools.pairwise(alone)]
    good = [1000 * answer.seconds for answer in answers if answer.status == 200]
    return Throughput(
        n_requests=len(answers),
        n_errors=len(answers) - len(good),
        library_ms=1000 * statistics.median(processor for _, processor in alone) / n_requests,
        service_ms=1000 * statistics.median(processor for _, processor in served) / n_requests,
        share=statistics.median(one[0] / other[0] for one, other in zip(beside, served, strict=True)),
        processor_share=statistics.median(one[1] / other[1] for one, other in zip(beside, served, strict=True)),
        quantiles_ms=_quantiles(good),
    )


def _quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    p50, p95, p99 = np.percentile(values, (50, 95, 99)) if values else (math.nan,) * 3
    return float(p50), float(p95), float(p99)


def processor_s(pid: int) -> float:
    """The processor time that a process has used, in s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """The memory that a process holds (RSS), in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """Ten times what the service can do: answers a second alone and meanwhile, times of refusals, and afterwards."""

    offered_per_s: float
    alone_per_s: float
    meanwhile_per_s: float
    statuses: dict[int, int]
    is_told_when: bool
    refused_ms: tuple[float, float, float]
    n_errors_after: int
    first_after_ms: float


def overload(server: Server, ecgs: Sequence[Ecg], seconds: float) -> Overload:
    """First as many requests as the service can answer, then ten times as many, then again as before."""
    bodies = [body_of(ecg) for ecg in ecgs]
    started = time.monotonic()
    before = answered(Load(server.port, bodies), N_CLIENTS, 10 * N_CLIENTS)
    alone_per_s = len(before.good) / (time.monotonic() - started)
    flood = Load(server.port, bodies, rate_per_s=10 * alone_per_s)
    with loaded(flood, 10 * N_CLIENTS):
        time.sleep(seconds)
    after = answered(Load(server.port, bodies), N_CLIENTS, 10 * N_CLIENTS)
    refused = [one for one in flood.answers if one.status != 200]
    return Overload(
        offered_per_s=len(flood.answers) / seconds,
        alone_per_s=alone_per_s,
        meanwhile_per_s=len(flood.good) / seconds,
        statuses=Counter(one.status for one in flood.answers),
        is_told_when=all("retry-after" in one.headers and one.problem for one in refused),
        refused_ms=_quantiles([1000 * one.seconds for one in refused]),
        n_errors_after=len(after.answers) - len(after.good),
        first_after_ms=1000 * min((one.seconds for one in after.good), default=math.nan),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory over many requests, after the first fifth: where it began and ended, and its slope."""

    n_requests: int
    n_errors: int
    first_mb: float
    last_mb: float
    mb_per_1000: float


def memory(server: Server, ecgs: Sequence[Ecg], n_requests: int) -> Memory:
    """The memory of the server while so many requests are answered, looked at 100 times."""
    bodies = [body_of(ecg) for ecg in ecgs]
    n_errors, step, held_mb = 0, n_requests // 100, []
    for _ in range(100):
        load = answered(Load(server.port, bodies), N_CLIENTS, step)
        n_errors += len(load.answers) - len(load.good)
        held_mb.append(memory_mb(server.process.pid))
    settled = held_mb[20:]
    slope = np.polyfit(step * np.arange(len(settled)) / 1000, settled, 1)[0]
    return Memory(
        n_requests=100 * step,
        n_errors=n_errors,
        first_mb=settled[0],
        last_mb=settled[-1],
        mb_per_1000=float(slope),
    )
