"""What augmentation draws and does, and that signals are read as they lie on disk."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from ecg_ka.record import LEADS
from training.augment import Augmentation, Strength, augmentation_for
from training.draws import ByPosition, Draws, InOrder
from training.loader import Loader
from training.reversals import reversals

CPU = torch.device("cpu")
MODEL_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
NONE = Augmentation(chest_rows=(2, 3), p_chest_leads_off=0, p_short=0, p_noise=0, gain_sd=0)


def at(places: range, *, seed: int = 1, epoch: int = 1) -> ByPosition:
    return ByPosition.at(places, seed=seed, epoch=epoch, device=CPU)


def test_numbers_by_position_are_uniform_normal_and_unrelated() -> None:
    draws = at(range(200))
    uniform, normal = draws.uniform(500), draws.normal(500)
    assert stats.kstest(uniform.flatten(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal.flatten(), "norm").pvalue > 1e-3
    assert len(torch.unique(draws.integers(3, 7, 100))) == 4
    columns = np.corrcoef(np.concatenate([uniform.T, normal.T, at(range(200), epoch=2).uniform(500).T])[::5])
    assert np.abs(columns - np.eye(len(columns))).max() < 0.4  # 4 SD at 200 ECGs would be 0.28
    assert np.abs(np.corrcoef(at(range(2), seed=2).uniform(9000))[0, 1]) < 0.05


@pytest.mark.parametrize("strength", Strength)
def test_by_position_an_ecg_is_the_same_in_every_batch(strength: Strength) -> None:
    signal_mv = torch.randn(40, 8, 250, generator=torch.Generator().manual_seed(0))
    augment = augmentation_for(MODEL_LEADS, strength)
    whole = augment(signal_mv, at(range(40)))
    parts = [augment(signal_mv[a:b], at(range(a, b))) for a, b in ((0, 13), (13, 14), (14, 40))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6)
    assert not torch.equal(augment(signal_mv, at(range(40), epoch=2)), whole)


FULL = augmentation_for(MODEL_LEADS, Strength.FULL)


@pytest.mark.parametrize(
    ("on", "off"),
    [
        (replace(FULL, p_amplitude=1.0), replace(FULL, p_amplitude=0.0)),
        (replace(FULL, p_wander=1.0), replace(FULL, p_wander=0.0)),
        (replace(FULL, p_late=1.0), replace(FULL, p_late=0.0)),
        (replace(FULL, p_reversal=1.0), replace(FULL, p_reversal=0.0)),
    ],
    ids=["amplitude", "wander", "late", "reversal"],
)
def test_what_is_on_changes_an_ecg(on: Augmentation, off: Augmentation) -> None:
    signal_mv = torch.randn(8, 8, 250)
    one, other = (a(signal_mv, InOrder(torch.Generator().manual_seed(0), 8, CPU)) for a in (on, off))
    assert not torch.equal(one, other)


def test_what_is_off_draws_nothing() -> None:
    """So that what was trained before there was more to draw is trained the same: these numbers are older."""
    generator = torch.Generator().manual_seed(0)
    augmentation_for(MODEL_LEADS, Strength.LIGHT)(torch.ones(8, 8, 250), InOrder(generator, 8, CPU))
    after, again = torch.rand(1, generator=generator), torch.Generator().manual_seed(0)
    torch.randn(8, 8, 1, generator=again)
    for _ in range(2):  # stretched, smoothed: none is
        torch.rand(8, generator=again)
    n_noisy = int((torch.rand(8, generator=again) < 0.3).sum())
    torch.rand(n_noisy, 8, 1, generator=again)
    torch.randn(n_noisy, 8, 250, generator=again)
    torch.rand(8, 6, generator=again)
    torch.randint(1, 3, (8, 1), generator=again)
    for _ in range(3):
        torch.rand(8, 1, generator=again)
    assert torch.equal(after, torch.rand(1, generator=again))


@pytest.fixture(params=[at(range(64)), InOrder(torch.Generator().manual_seed(0), 64, CPU)], ids=["position", "order"])
def draws(request: pytest.FixtureRequest) -> Draws:
    found: Draws = request.param
    return found


def test_a_later_start_moves_and_ends_in_zeros(draws: Draws) -> None:
    ramp = torch.arange(1.0, 101).expand(64, 8, 100)
    for row in replace(NONE, p_late=1.0)(ramp, draws)[:, 0]:
        first = int(row[0]) - 1
        assert 0 <= first < 20
        assert torch.equal(row, torch.cat([torch.arange(first + 1.0, 101), torch.zeros(first)]))


def test_amplitude_is_one_factor_and_wander_is_slow(draws: Draws) -> None:
    ones = torch.ones(64, 8, 1000)
    scaled = replace(NONE, p_amplitude=1.0)(ones, draws)
    assert torch.equal(scaled, scaled[:, :1, :1].expand_as(scaled))
    assert float(scaled[:, 0, 0].log().std()) == pytest.approx(0.15, abs=0.05)
    wander = replace(NONE, p_wander=1.0)(torch.zeros(64, 8, 1000), draws)
    power = torch.fft.rfft(wander).abs().square()
    assert float(power[..., 2:12].sum() / power.sum()) > 0.95
    assert 0.05 < float(wander.abs().max()) <= 0.1


@pytest.mark.parametrize("leads", [MODEL_LEADS, LEADS])
def test_reversals_are_what_electrodes_at_other_places_give(leads: tuple[str, ...]) -> None:
    """From potentials at nine electrodes, two of which change places; twice is as it was."""
    potentials = dict(zip(("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6"), torch.randn(9, 50), strict=True))
    pairs = [("RA", "LA"), ("LA", "LL"), ("RA", "LL"), *((f"V{i}", f"V{i + 1}") for i in range(1, 6))]
    assert len(reversals(leads)) == len(pairs)
    for (one, other), rows in zip(pairs, reversals(leads), strict=True):
        swapped = {**potentials, one: potentials[other], other: potentials[one]}
        matrix, as_it_was = torch.tensor(rows), recorded(potentials, leads)
        torch.testing.assert_close(matrix @ as_it_was, recorded(swapped, leads))
        torch.testing.assert_close(matrix @ matrix @ as_it_was, as_it_was)


def recorded(v: dict[str, torch.Tensor], leads: tuple[str, ...]) -> torch.Tensor:
    limb = {"I": v["LA"] - v["RA"], "II": v["LL"] - v["RA"], "III": v["LL"] - v["LA"]}
    goldberger = {"aVR": ("RA", "LA", "LL"), "aVL": ("LA", "RA", "LL"), "aVF": ("LL", "RA", "LA")}
    limb |= {lead: v[a] - (v[b] + v[c]) / 2 for lead, (a, b, c) in goldberger.items()}
    centre = (v["RA"] + v["LA"] + v["LL"]) / 3
    return torch.stack([limb[lead] if lead in limb else v[lead] - centre for lead in leads])


@pytest.mark.parametrize("ahead", [0, 3, 100])
def test_batches_come_in_order_as_they_lie_on_disk(ahead: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "signals.npy", rng.integers(-9, 9, (50, 2, 30)).astype(np.int16))
    signals = np.load(tmp_path / "signals.npy", mmap_mode="r")
    parts = np.array_split(rng.permutation(50), 7)
    loader = Loader(signals, ahead=ahead, threads=2, pinned=False)
    for rows, batch in zip(parts, loader.batches(parts), strict=True):
        np.testing.assert_array_equal(batch.numpy(), signals[rows])
    before = threading.active_count()
    batches = loader.batches(parts)
    assert next(batches).shape == (8, 2, 30)
    del batches  # an interrupted epoch leaves no thread behind
    assert threading.active_count() == before
