"""How fast training is, and how long it waits for the loader. Run by `make bench`; on a GPU where there is one.

`make bench` on a GPU machine measures what cannot be measured without: ECGs a second with bf16 and fp32, compiled and
not, each with the share of time that the GPU waited for signals (goal under 5 %).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from ecg_ka.network import NetworkConfig, PotassiumNet
from tests.benchmarks.alternating import least
from training.augment import Strength, augmentation_for
from training.cohort import Cohort
from training.draws import Order
from training.loader import Loader
from training.objective import Loss, ObjectiveConfig, make_objective
from training.trainer import Epoch, Execution, Schedule, WholeTrainer

LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
ON_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run it where there is one")
ON_CPU = Execution(read_threads=1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cohort(folder: Path, n: int) -> Cohort:
    """Noise as a memory map, warm because it was just written."""
    rng = np.random.default_rng(0)
    block = rng.integers(-500, 500, (512, 8, 2500)).astype(np.int16)
    signals = np.lib.format.open_memmap(folder / "signals.npy", "w+", np.int16, (n, 8, 2500))
    for start in range(0, n, 512):
        signals[start : start + 512] = block[: n - start]
    labels = np.round(rng.normal(4.2, 0.7, n), 1).astype(np.float32)
    signals.flush()
    warm = np.load(folder / "signals.npy", mmap_mode="r")
    return Cohort(warm, {"split": np.full(n, "train"), "potassium_mmol_l": labels}, {})


def trained(data: Cohort, schedule: Schedule, execution: Execution, device: str) -> Epoch:
    """The last epoch of the shipped network, after one that warmed everything up; the GPU has finished."""
    torch.manual_seed(0)
    network = PotassiumNet(NetworkConfig()).to(device)
    objective = make_objective(ObjectiveConfig(loss=Loss.DIST), data.index["potassium_mmol_l"], network.n_features)
    augment = augmentation_for(LEADS, Strength.LIGHT if device == "cpu" else Strength.FULL)
    epochs = WholeTrainer(schedule, network, objective, data, augment, execution).epochs()
    if schedule.epochs > 1:
        next(epochs)
    *_, last = epochs
    return last


def test_loader_from_a_warm_map(tmp_path: Path) -> None:
    """Batches of 256 in random order by one thread; goal 20,000 ECG/s."""
    data = cohort(tmp_path, 4096)
    parts = np.array_split(np.random.default_rng(0).permutation(4096), 16)

    def pass_s() -> float:
        started = time.perf_counter()
        for _ in Loader(data.signals, ahead=2, threads=1, pinned=False).batches(parts):
            pass
        return time.perf_counter() - started

    rate = 4096 / least(pass_s, enough=0, most=5)
    print(f"\nloader: {rate:.0f} ECG/s from a warm memory map, one thread")
    assert rate >= 20_000


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="each rank needs a core for its loader")
def test_the_input_rate_of_a_gpu_on_each_rank(tmp_path: Path) -> None:
    """Two ranks read one map, and each asks for a batch of 1,024 whenever a GPU of so many ECG/s would have done one;
    eight do the same with four times the cores, if the memory gives four times the bytes."""
    cohort(tmp_path, 16_384)
    for rate in (5_000, 10_000, 20_000):
        share = least(partial(most_waiting, tmp_path, rate), enough=0.049, most=3)
        print(f"\nof two ranks of {rate} ECG/s each, one waits for {100 * share:.1f} %, the other for less", end="")
        assert share < 0.05
    print(f"; eight of 20,000 take {8 * 20_000 * 8 * 2500 * 2 / 1e9:.1f} GB/s from the map")


def most_waiting(folder: Path, rate: float) -> float:
    """The larger share of two ranks at once."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as ranks:
        return max(ranks.map(share_of_waiting, [folder] * 2, [rate] * 2, range(2)))


def share_of_waiting(folder: Path, rate: float, seed: int) -> float:
    """Of the time of one rank, while its GPU is a sleep."""
    signals = np.load(folder / "signals.npy", mmap_mode="r")
    parts = np.array_split(np.random.default_rng(seed).permutation(len(signals)), len(signals) // 1024)
    loader = Loader(signals, ahead=4, threads=1, pinned=False)
    batches = loader.batches(parts * 3)
    next(batches)
    loader.waited_s, started = 0.0, time.perf_counter()
    for _ in batches:
        time.sleep(1024 / rate)
    return loader.waited_s / (time.perf_counter() - started)


def test_training_on_a_cpu(tmp_path: Path) -> None:
    """The shipped network end to end, batches of 64, one thread; it must not wait for the loader."""
    last = trained(cohort(tmp_path, 320), Schedule(epochs=1, batch_size=64), ON_CPU, "cpu")
    share = last.waited_s / last.seconds
    print(
        f"\ntraining: {320 / last.seconds:.0f} ECG/s on one CPU thread, {100 * share:.2f} % of it waiting for signals"
    )
    assert share < 0.05


@ON_A_GPU
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
def test_training_on_a_gpu(bf16: bool, compiled: bool, tmp_path: Path) -> None:
    """Batches of 1024 with full augmentation; goal: the GPU waits for less than 5 % of the time."""
    n = 65_536
    schedule = Schedule(epochs=3, batch_size=1024, bf16=bf16)
    execution = replace(ON_CPU, draws=Order.BY_POSITION, compile=compiled, read_threads=8, read_ahead=8)
    last = trained(cohort(tmp_path, n), schedule, execution, "cuda")
    share, name = last.waited_s / last.seconds, torch.cuda.get_device_name()
    print(f"\n{name}, bf16 {bf16}, compiled {compiled}: {n / last.seconds:.0f} ECG/s, {100 * share:.2f} % waiting")
    assert share < 0.05
