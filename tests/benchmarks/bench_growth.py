"""How time and memory grow: with the number of files, the length of a record, the size of a batch; and over processes.

Run by `make bench`. Lines through the points are by least squares; CPU seconds are those of a process and its children,
so that a busy machine moves them little."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest

from ecg_ka import SHIPPED, Estimator, read
from ecg_ka.exporters.wfdb import record_wfdb
from ecg_ka.record import EcgRecord
from ecg_ka.scoring import Job
from ecg_ka.scoring.archive_run import _scored
from ecg_ka.scoring.journal import Chunk
from ecg_ka.scoring.source import Source
from ecg_ka.uncertainty import Calibration, Pairs, QuantileCurves, Regions
from tests.ecg_ka.ecgs import ecg

TWO_CORES = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one core")
FILES = (1, 10, 100, 1_000, 10_000, 1_000)  # a thousand before and after, because the host's speed drifts
REFUSED_FILES = (1_000, 10_000, 100_000)  # without a signal, so that listing, journal and table are what is measured


@dataclass(frozen=True)
class Cost:
    """Of one run: wall and CPU seconds, and the most memory that one of its processes took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def cost_of(folder: Path, out: Path, workers: int) -> Cost:
    """A run of the command over a folder."""
    command = [sys.executable, "-m", "ecg_ka.cli", "estimate", str(folder), "--out", str(out), "--force"]
    started = time.perf_counter()
    process = subprocess.Popen([*command, "--workers", str(workers)], stdout=-3, stderr=-3)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 2)
    return Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


@contextmanager
def archive(folder: Path, n: int, header: bytes | None = None) -> Iterator[Path]:
    """``n`` headers that name one signal file, or are what is given; deleted afterwards."""
    folder.mkdir()
    files = record_wfdb(ecg(1), "r")
    (folder / "r.dat").write_bytes(files["r.dat"])
    for number in range(n):
        (folder / f"{number:06}.hea").write_bytes(files["r.hea"] if header is None else header)
    if header is not None:
        (folder / "r.dat").unlink()
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def line(what: str, xs: Sequence[float], ys: Sequence[float], unit: str) -> tuple[float, float]:
    """Print the points and the line of least relative squares through them; intercept and slope."""
    weights = 1 / np.asarray(ys)
    (slope, intercept), *_ = np.linalg.lstsq(
        np.stack([np.asarray(xs) * weights, weights], 1), np.ones(len(xs)), rcond=None
    )
    print(f"\n{what}: {intercept:.4g} + {slope:.4g} x {unit}")
    for x, y in zip(xs, ys, strict=True):
        print(f"  {x:>9g}  {y:10.4g}  {y / (intercept + slope * x):6.2f} of the line")
    return float(intercept), float(slope)


@pytest.mark.timeout(3600)
def test_growth_with_the_number_of_files(tmp_path: Path) -> None:
    """CPU seconds on a straight line, memory on a flat one."""
    costs = []
    for n in FILES:
        with archive(tmp_path / "many", n) as folder:
            costs.append(cost_of(folder, tmp_path / "t.parquet", workers=1))
    intercept, slope = line("CPU of n files, one process", FILES, [cost.cpu_s for cost in costs], "s")
    print("  peak MB: " + ", ".join(f"{cost.peak_mb:.0f}" for cost in costs))
    print(f"  rate per core {1 / slope:.0f}/s; 100,000 files {(intercept + 1e5 * slope) / 60:.0f} min of CPU")
    n, most = max(zip(FILES, costs, strict=True), key=itemgetter(0))
    assert most.cpu_s / (intercept + slope * n) == pytest.approx(1, abs=0.25)
    assert most.peak_mb < 1.3 * costs[2].peak_mb


@pytest.mark.timeout(3600)
def test_growth_of_what_surrounds_an_estimate(tmp_path: Path) -> None:
    """Files that are refused at once: listing, journal, processes and table."""
    costs = []
    for n in REFUSED_FILES:
        with archive(tmp_path / "many", n, header=b"?") as folder:
            costs.append(cost_of(folder, tmp_path / "t.parquet", workers=1))
    line("CPU of n refused files", REFUSED_FILES, [cost.cpu_s for cost in costs], "s")
    print("  peak MB: " + ", ".join(f"{cost.peak_mb:.0f}" for cost in costs))
    assert costs[-1].peak_mb < 1.5 * costs[0].peak_mb


def test_growth_with_the_length_of_a_record(tmp_path: Path) -> None:
    """Reading and estimating; the file is read, and searched for its cleanest ten seconds, whole."""
    estimator, lengths_s, cpu_ms, peak_mb = Estimator.load(), (10, 30, 100, 300, 1000, 1500), [], []
    for length_s in lengths_s:
        for name, data in record_wfdb(repeated(ecg(1), length_s // 10), "r").items():
            (tmp_path / name).write_bytes(data)

        def one() -> object:
            return estimator.estimate(read(tmp_path / "r.hea"))

        cpu_ms.append(1e3 * min(cpu_s(one) for _ in range(3)))
        tracemalloc.start()
        one()
        peak_mb.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    line("CPU of a record of x s", lengths_s, cpu_ms, "ms")
    line("memory of a record of x s", lengths_s, peak_mb, "MB")
    assert peak_mb[-1] < 512


def test_growth_with_the_size_of_a_batch() -> None:
    """Records go through one at a time: a batch costs the sum of its records."""
    estimator, sizes = Estimator.load(), (1, 4, 16, 64, 256)
    cpu_ms = [1e3 * min(cpu_s(partial(estimator.estimate_many, [ecg_1] * n)) for _ in range(3)) for n in sizes]
    intercept, slope = line("CPU of a batch of x records", sizes, cpu_ms, "ms")
    assert cpu_ms[-1] / (intercept + slope * sizes[-1]) == pytest.approx(1, abs=0.3)


def test_growth_with_the_size_of_the_calibration_set() -> None:
    """What a bundle was calibrated by is kept as sorted scores, in which an estimate searches. Fitting grows faster
    than the set: each ECG's distribution is made of all scores of its region."""
    sizes, fit_ms, predict_us, kept_kb = (500, 2_000, 10_000, 100_000), [], [], []
    for n in sizes:
        rng = np.random.default_rng(0)
        labels = np.round(rng.normal(4.3, 0.8, n), 1)
        pairs = Pairs(labels + rng.normal(0, 0.6, n), np.full(n, 0.5), labels)
        curves = QuantileCurves.fit(pairs)
        fit_ms.append(1e3 * min(cpu_s(partial(Calibration.fit, pairs, curves, Regions())) for _ in range(3)))
        calibration = Calibration.fit(pairs, curves, Regions())
        predict_us.append(1e4 * min(cpu_s(partial(answered, calibration, 100)) for _ in range(5)))
        kept_kb.append(sum(scores.nbytes for scores in calibration.to_arrays().values()) / 1e3)
    line("CPU of calibrating by x ECGs", sizes, fit_ms, "ms")
    line("an answer after calibration by x ECGs", sizes, predict_us, "us")
    line("scores kept of x ECGs", sizes, kept_kb, "kB")
    assert predict_us[-1] < 4 * predict_us[0]


def answered(calibration: Calibration, times: int) -> None:
    """Interval, bands and probabilities of one estimate, again and again."""
    for _ in range(times):
        predictive = calibration.distribution.predict(5.6, 0.5)
        calibration.label_conditional.interval(5.6, 0.9), calibration.label_conditional.bands(5.6, 0.5)
        predictive.interval(0.9), predictive.in_steps()


@pytest.mark.timeout(1800)
def test_growth_with_the_size_of_the_training_set(tmp_path: Path) -> None:
    """A pass costs so much an ECG; signals stay on the disk, and memory does not follow them. The least of three rounds
    for each size, because the host's speed drifts."""
    sizes, rounds = (256, 512, 1024, 2048), []
    for _ in range(3):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as alone:
            rounds.append([alone.submit(one_pass, tmp_path, n).result() for n in sizes])
    cpu_per_pass, peak_mb = (least.tolist() for least in np.min(rounds, axis=0).T)
    intercept, slope = line("CPU of a pass over x ECGs", sizes, cpu_per_pass, "s")
    print("  peak MB without the map: " + ", ".join(f"{mb:.0f}" for mb in peak_mb))
    assert cpu_per_pass[-1] / (intercept + slope * sizes[-1]) == pytest.approx(1, abs=0.2)
    assert peak_mb[-1] < 1.2 * peak_mb[0]


def one_pass(folder: Path, n: int) -> tuple[float, float]:
    """CPU seconds of training one pass, and the memory that was not a file's; in a process of its own, because what the
    benchmarks have loaded counts as used by every command that they start."""
    import torch

    from tests.benchmarks.bench_training import ON_CPU, cohort, trained
    from training.trainer import Schedule

    torch.set_num_threads(1)
    data = cohort(folder, n)  # over that of another size
    seconds = cpu_s(lambda: trained(data, Schedule(epochs=1, batch_size=64), ON_CPU, "cpu"))
    told = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return seconds, int(told["RssAnon"].split()[0]) / 1e3


def test_what_handing_over_costs(tmp_path: Path) -> None:
    """The rows of a chunk against the estimates in it."""
    for name, data in record_wfdb(ecg_1, "r").items():
        (tmp_path / name).write_bytes(data)
    job, source, estimator = (
        Job(inputs=(), bundle=SHIPPED, level=0.9),
        Source(str(tmp_path / "r.hea")),
        Estimator.load(),
    )
    _scored(job, Chunk(0, (source,)))
    plain_s = min(cpu_s(lambda: [estimator.estimate(read(source.path)) for _ in range(32)]) for _ in range(5))
    rows_s = min(cpu_s(lambda: _scored(job, Chunk(0, (source,) * 32))) for _ in range(5))
    print(f"\nan estimate with reading takes {1e3 * plain_s / 32:.2f} ms, its row {rows_s / plain_s - 1:.1%} more")
    assert rows_s < 1.3 * plain_s


@pytest.mark.timeout(3600)
@TWO_CORES
def test_two_processes_against_one(tmp_path: Path) -> None:
    """Alternately; goal 1.8 times the rate of one. What two cores can give at all is what two commands do at once, each
    with half of the files and nothing to share."""
    with archive(tmp_path / "many", 4000) as whole, archive(tmp_path / "half", 2000) as half:

        def walls() -> tuple[Cost, Cost, float]:
            one, two = (cost_of(whole, tmp_path / "t.csv", workers) for workers in (1, 2))
            started = time.perf_counter()
            with ThreadPoolExecutor(2) as both:
                [*both.map(lambda name: cost_of(half, tmp_path / name, 1), ("a.csv", "b.csv"))]
            return one, two, time.perf_counter() - started

        rounds = [walls() for _ in range(4)]
    gains = [one.wall_s / two.wall_s for one, two, _ in rounds]
    bounds = [one.wall_s / apart_s for one, _, apart_s in rounds]
    spent = [sum(cost.cpu_s for cost in column) for column in zip(*((one, two) for one, two, _ in rounds), strict=True)]
    print(
        f"\n4000 files: one process {min(one.wall_s for one, _, _ in rounds):.1f} s; two against one: median ", end=""
    )
    print(
        f"{statistics.median(gains):.2f} ({min(gains):.2f} to {max(gains):.2f}) times the rate; two commands at once "
    )
    print(
        f"{statistics.median(bounds):.2f}; CPU {spent[1] / spent[0]:.2f} times; load average {os.getloadavg()[0]:.1f}"
    )
    assert spent[1] < 1.25 * spent[0]


@pytest.mark.timeout(3600)
@TWO_CORES
def test_a_hundred_thousand_files(tmp_path: Path) -> None:
    """Two processes; each takes no more memory than for the first thousand."""
    with archive(tmp_path / "many", 1000) as folder:
        few = cost_of(folder, tmp_path / "t.parquet", workers=2)
    with archive(tmp_path / "many", 100_000) as folder:
        all_of_them = cost_of(folder, tmp_path / "t.parquet", workers=2)
    size_mb = (tmp_path / "t.parquet").stat().st_size / 1e6
    print(
        f"\n100,000 files: {all_of_them.wall_s:.0f} s, {all_of_them.cpu_s:.0f} s of CPU, table {size_mb:.1f} MB; ",
        end="",
    )
    print(f"largest process {all_of_them.peak_mb:.0f} MB, with 1,000 files {few.peak_mb:.0f} MB")
    assert all_of_them.peak_mb < 1.3 * few.peak_mb


ecg_1 = ecg(1)


def repeated(record: EcgRecord, times: int) -> EcgRecord:
    """The same ten seconds again and again."""
    return EcgRecord(
        signal_mv=np.tile(record.signal_mv, times), fs_hz=record.fs_hz, leads=record.leads, source=record.source
    )


def cpu_s(call: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    call()
    return time.process_time() - started
