"""The tables of coverage: exact draws pass, shifted ECGs show that they fail, and a second run computes nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ecg_ka import SHIPPED
from ecg_ka.uncertainty import Calibration, Pairs, Regions
from tests.ecg_ka.test_label_conditional import CURVES, drawn
from training.coverage import DRAWS, agreement, draws, scores_by_class
from training.outputs import Cart
from training.personal import PersonalConfig
from training.personal import run as run_personal
from training.shift import ShiftConfig, run

FLAT = Pairs(*drawn(20_000, 5))


def test_in_every_region_and_band_the_mean_of_the_draws_is_what_is_promised() -> None:
    """And no more draws than expected lie outside of the central 99 % of the beta-binomial distribution."""
    outside, rng = [], np.random.default_rng(1)
    for title, (scores, level) in scores_by_class(FLAT, Regions()).items():
        n_calibration, n_test = len(scores) // 3, len(scores) // 2
        covered = draws(scores, level, n_calibration, n_test, rng)
        rank = math.ceil(level * (n_calibration + 1) - 1e-9)
        law = stats.betabinom(n_test, rank, n_calibration + 1 - rank)
        assert covered.mean() / n_test >= level - 4 * law.std() / n_test / math.sqrt(DRAWS), title
        outside += [(covered < law.ppf(0.005)) | (covered > law.ppf(0.995))]
    assert 0.005 < np.mean(outside) < 0.0115


@pytest.mark.parametrize(("estimate_from", "threshold"), [(5.5, 5.5), (6.0, 6.0), (-math.inf, 5.5)])
def test_the_mean_probability_agrees_with_the_observed_share(estimate_from: float, threshold: float) -> None:
    """On ECGs like those that calibrated: of those with a high estimate, and of all."""
    calibration = Calibration.fit(Pairs(*drawn(20_000, 1)), CURVES, Regions())
    test = Pairs(*drawn(20_000, 2))
    n, p, share, (low, high) = agreement(calibration, test, estimate_from, ">=", threshold)
    assert n == (test.estimates >= estimate_from).sum() > 100
    assert low <= p <= high
    assert low < share < high
    _, below, share_below, _ = agreement(calibration, test, estimate_from, "<", threshold)
    assert below + p == pytest.approx(1)
    assert share_below + share == pytest.approx(1)


def test_the_other_cart_distorts_and_the_usual_one_does_not() -> None:
    rng = np.random.default_rng(0)
    signal = np.cumsum(rng.normal(0, 0.01, (2, 12, 2000)), axis=-1).astype(np.float32)
    assert Cart.USUAL.through(signal) is signal
    other = Cart.MONITOR.through(signal)
    assert other.shape == signal.shape
    np.testing.assert_allclose(other / 0.005, np.rint(other / 0.005), atol=1e-2)
    assert np.abs(other - signal).max() > 0.05


def test_small_runs_write_their_pages_and_go_on_from_what_is_there(tmp_path: Path) -> None:
    config = ShiftConfig(
        work=tmp_path / "w", out=tmp_path / "coverage.md", bundle=SHIPPED,
        test=64, shifted=64, local=64, flat=150, draw_test=20, draw_calibration=20,
    )  # fmt: skip
    text = run(config)
    assert config.out.read_text() == text
    for title in ("Held out: 64 ECGs", "Shifted: 64 ECGs", "Recalibrated", "Draws by true region and band"):
        assert f"## {title}" in text
    times = {path: path.stat().st_mtime_ns for path in config.work.iterdir()}
    assert run(config) == text
    assert {path: path.stat().st_mtime_ns for path in config.work.iterdir()} == times
    gains = run_personal(PersonalConfig(work=config.work, out=tmp_path / "personal.md", patients=48))
    assert [g.n_prior for g in gains] == [0, 1, 2, 5]
    page = (tmp_path / "personal.md").read_text()
    assert "0.884" in page
    assert f"{gains[3].mae:.3f}" in page
