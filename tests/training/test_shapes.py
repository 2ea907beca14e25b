"""The networks whose accuracy is compared are given the same ECG, each in its own form."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal as sps
from torch import nn

from ecg_ka.network import n_parameters
from ecg_ka.preprocess import LSB_MV
from ecg_ka.record import DERIVED_FROM_I_II, INDEPENDENT_LEADS
from tests.benchmarks.accuracy import RUNS, Budget, alone_ms, estimates, page, train
from tests.benchmarks.shapes import SHAPES, Shape, resampled, twelve
from tests.ecg_ka.ecgs import ecg
from training.cohort import Cohort, Split


def ecgs(n: int) -> torch.Tensor:
    """(n, 8, 2500) in mV: white noise below 40 Hz."""
    low = sps.butter(8, 40, fs=250, output="sos")
    noise = np.random.default_rng(0).normal(size=(n, 8, 2500))
    return torch.from_numpy(sps.sosfiltfilt(low, noise).astype(np.float32))


@pytest.mark.parametrize("n", [4000, 5000])
def test_resampling_is_that_of_scipy(n: int) -> None:
    signal = ecgs(2)
    np.testing.assert_allclose(resampled(signal, n).numpy(), sps.resample(signal.numpy(), n, axis=2), atol=2e-3)


def test_the_four_other_leads_are_those_of_a_record() -> None:
    record = ecg(1)
    eight = torch.from_numpy(np.stack([record.signal_mv[record.leads.index(lead)] for lead in INDEPENDENT_LEADS]))
    others = np.stack([record.signal_mv[record.leads.index(lead)] for lead in DERIVED_FROM_I_II])
    np.testing.assert_allclose(twelve(eight)[8:].numpy(), others, atol=2e-3)


@pytest.mark.parametrize("name", SHAPES)
def test_every_network_takes_its_form(name: str) -> None:
    torch.manual_seed(0)
    shape = SHAPES[name]
    with torch.no_grad():
        estimate = shape.network().eval()(shape.form(ecgs(2)))
    assert estimate.shape == (2,)
    assert (estimate - 4.2).abs().max() < 1.5


def test_the_time_is_used_up_and_the_network_learns() -> None:
    levels = np.random.default_rng(0).integers(-300, 300, 96).astype(np.int16)
    labels = 1.0 + levels * LSB_MV
    signals = np.broadcast_to(levels[:, None, None], (96, 8, 250))
    cohort = Cohort(signals, {"split": np.full(96, "train"), "potassium_mmol_l": labels}, {})
    shape = Shape("a mean", lambda signal: signal.mean(dim=2), lambda: nn.Sequential(nn.Linear(8, 1), nn.Flatten(0)))
    started = time.process_time()
    network, n_seen = train(shape, cohort, Budget(minutes=0.02, learning_rate=0.05))
    assert time.process_time() - started >= 1.2
    assert n_seen > 5 * 96
    assert np.abs(estimates(shape, network, cohort, cohort.rows(Split.TRAIN)) - labels).mean() < 0.2 * labels.std()


def test_the_rate_rises_and_falls() -> None:
    budget = Budget(minutes=1)
    rates = [budget.rate(share) for share in (0.0, budget.warm_up, 0.5, 1.0, 1.5)]
    assert rates[0] == rates[3] == rates[4] == 0
    assert rates[1] == 1 > rates[2] > 0


def made_up(shape: str, minutes: float, cohort: str = "a") -> dict[str, Any]:
    """The result of one network."""
    auroc = {"value": 0.8, "lower": 0.7, "upper": 0.9, "n_positive": 5.0}
    return {
        "budget": asdict(Budget(minutes=minutes)),
        "processor": "a processor",
        "torch": "2",
        "precision": "float32",
        "cohort": cohort,
        "n_seen": 30,
        "n_train": 20,
        "shape": shape,
        "metrics": {"n": 9, "mae": 0.4, "mae_few": 0.6, "r": 0.5, "mae_of_the_median": 0.5},
        "auroc": {">=5.5": auroc, "<3.5": auroc},
    }


def test_the_page_has_a_row_a_network_and_mixes_no_cohorts() -> None:
    ms = {name: 1.0 + at for at, name in enumerate(SHAPES)}
    results = {key: made_up(*run) for key, run in RUNS.items()}
    rows = [
        line
        for line in page(results, ms).splitlines()
        if line.startswith(tuple(f"| {s.what} " for s in SHAPES.values()))
    ]
    assert len(rows) == len(RUNS)
    for row, (name, _) in zip(rows, RUNS.values(), strict=True):
        assert row.split("|")[1].strip() == SHAPES[name].what
        assert [cell.strip() for cell in row.split("|")[2:5]] == [
            f"{n_parameters(SHAPES[name].network()) / 1e6:.2f}",
            f"{ms[name]:.2f}",
            "1.5",
        ]
    with pytest.raises(ValueError, match="several cohorts"):
        page({**results, "stride8-10": made_up("stride8", 10, cohort="b")}, ms)


def test_networks_are_timed_in_turn() -> None:
    found = alone_ms(["ours", "ribeiro"], rounds=2)
    assert 0 < found["ours"] < found["ribeiro"]
