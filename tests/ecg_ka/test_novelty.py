"""Novelty: strange inputs lie far, others seldom do, and what follows from it is the policy's decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg_ka import Estimator, Flag, UnusableRecord, explain
from ecg_ka.policy import Policy
from ecg_ka.record import EcgRecord
from ecg_ka.uncertainty import NoveltyModel, fingerprint
from training.alterations import Alteration, double_speed, half_speed, noise, shuffled_leads, two_chest_leads_missing
from training.checks import novelty, simulated

N = 64
TIMING = slice(8 + 28, 8 + 28 + 8 + 16)


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


@pytest.fixture(scope="module")
def records() -> tuple[EcgRecord, ...]:
    return simulated(N, 71).records


def every_second(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    return signal[:, ::2].astype(np.float64)


def autocorrelation(rows: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Of all rows together at 0 to ``lags``, sample by sample."""
    n = rows.shape[1]
    return np.array([(rows[:, k:] * rows[:, : n - k]).sum() for k in range(lags + 1)])


def test_the_fingerprint_begins_with_the_slopes_of_the_leads_at_125_hz() -> None:
    signal = np.random.default_rng(2).normal(0, 0.3, (8, 2500)).astype(np.float32)
    slopes = np.diff(every_second(signal))
    size = np.sqrt(np.square(slopes).mean(axis=1)) + 0.001
    correlations = (slopes @ slopes.T / slopes.shape[1] / np.outer(size, size))[np.triu_indices(8, 1)]
    expected = np.concatenate([np.log(size), np.arctanh(0.999 * correlations)])
    np.testing.assert_allclose(fingerprint(signal, 250.0).values[: len(expected)], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("fs_hz", "every", "n"),
    [
        (250.0, 2, 2500),
        (250.0, 2, 2498),
        (250.0, 2, 1259),
        (500.0, 4, 5000),
        (360.0, 3, 3600),
        (200.0, 2, 2000),
        (100.0, 1, 1000),
    ],
)
def test_then_come_the_autocorrelations_of_slopes_and_of_the_activity(fs_hz: float, every: int, n: int) -> None:
    """At about 125 Hz; those of one lead do not go on in the next."""
    signal = np.random.default_rng(2).normal(0, 0.3, (8, n)).astype(np.float32)
    slopes = np.diff(signal[:, ::every].astype(np.float64))
    block = round(0.04 * fs_hz / every)
    sizes = np.abs(slopes).sum(axis=0)
    activity = np.sqrt(sizes[: len(sizes) // block * block].reshape(-1, block).mean(axis=1))
    ours, theirs = autocorrelation(slopes, 8), autocorrelation((activity - activity.mean())[None], 16)
    found = fingerprint(signal, fs_hz).values
    np.testing.assert_allclose(found[:8], np.log(np.sqrt(np.square(slopes).mean(axis=1)) + 0.001), atol=1e-5)
    np.testing.assert_allclose(found[TIMING], [*ours[1:] / ours[0], *theirs[1:] / theirs[0]], atol=1e-5)
    assert len(found) == TIMING.stop


def test_the_timing_of_an_ecg_does_not_hang_on_its_height() -> None:
    signal = np.random.default_rng(2).normal(0, 0.3, (8, 2500)).astype(np.float32)
    flat = np.float32(1e-6) * signal  # still more than what counts as nothing
    tall, low = (fingerprint(s, 250.0).values[TIMING.start :] for s in (signal, flat))
    np.testing.assert_allclose(tall, low, atol=1e-4)


@pytest.mark.parametrize("last", [0, 2, 30, 260])
def test_an_input_that_ends_at_once_has_a_fingerprint(last: int) -> None:
    signal = np.zeros((8, 2500), dtype=np.float32)
    signal[:, last] = 0.001
    assert np.isfinite(fingerprint(signal, 250.0).values).all()


def flagged(estimator: Estimator, records: tuple[EcgRecord, ...], change: Alteration | None = None) -> float:
    rng = np.random.default_rng(5)
    changed = records if change is None else [change(record, rng) for record in records]
    return float(np.mean([novelty(estimator, record)[1] <= 0.05 for record in changed]))


@pytest.mark.parametrize("change", [shuffled_leads, half_speed, double_speed, noise])
def test_strange_ecgs_are_novel(estimator: Estimator, records: tuple[EcgRecord, ...], change: Alteration) -> None:
    """95 % in docs/checks.md; here of 64, so that 57 may be enough by chance."""
    assert flagged(estimator, records, change) >= 0.89


def test_others_seldom_are_and_neither_is_what_the_network_learned_to_do_without(
    estimator: Estimator, records: tuple[EcgRecord, ...]
) -> None:
    assert flagged(estimator, records) <= 0.14
    assert flagged(estimator, records, two_chest_leads_missing) <= 0.17


@pytest.mark.parametrize("blank", [(), (1,), (0, 2)])
def test_the_distance_is_the_mean_square_of_what_is_known_and_knows_nothing_else(blank: tuple[int, ...]) -> None:
    """Of Mahalanobis, in units of the usual one: in double precision, by solving."""
    rng = np.random.default_rng(3)
    prints = [fingerprint(rng.normal(size=(3, 2500)).astype(np.float32), 250.0) for _ in range(100)]
    points = rng.normal(size=(100, 4)).astype(np.float32)
    model = NoveltyModel.fit(points[:90], prints[:90], (points[90:], prints[90:]))
    signal = rng.normal(size=(3, 2500)).astype(np.float32)
    signal[list(blank)] = 0
    found = fingerprint(signal, 250.0)
    there = np.concatenate([np.ones(4, dtype=bool), found.known])
    assert there.all() == (not blank)
    z = ((np.concatenate([points[0], found.values]) - model.mean) / model.scale)[there]
    square = z @ np.linalg.solve(model.correlation[there][:, there].astype(np.float64), z)
    assert model.distance(points[0], found) == pytest.approx(square / there.sum() / model.usual[0], rel=1e-4)
    other = replace(found, values=np.where(found.known, found.values, 9.0))
    assert model.distance(points[0], other) == model.distance(points[0], found)


def test_the_p_value_counts_the_calibration_ecgs_that_lie_as_far(estimator: Estimator) -> None:
    model = replace(estimator.bundle.novelty, scores=np.array([0.5, 1.0, 1.5], dtype=np.float32))
    record = simulated(1, 3).records[0]
    distance, p = novelty(Estimator(replace(estimator.bundle, novelty=model)), record)
    assert p == (1 + np.sum(model.scores >= np.float32(distance))) / 4


def test_a_calibration_ecg_that_lies_exactly_as_far_counts(estimator: Estimator) -> None:
    record = simulated(1, 3).records[0]
    there = np.array([novelty(estimator, record)[0]], dtype=np.float32)
    same = replace(estimator.bundle.novelty, scores=there)
    assert novelty(Estimator(replace(estimator.bundle, novelty=same)), record)[1] == 1


def test_p_values_of_ecgs_like_the_calibration_ecgs_are_valid() -> None:
    """P(p <= a) <= a over 300 random splits of one cloud, exactly as often as the ranks say."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        points = rng.standard_t(3, size=(90, 4)).astype(np.float32)
        prints = [fingerprint(rng.normal(size=(2, 500)).astype(np.float32), 250.0) for _ in range(90)]
        model = NoveltyModel.fit(points[:50], prints[:50], (points[50:89], prints[50:89]))
        hits += model.novelty(points[89], prints[89]).p_value <= 0.1
    assert 0.1 * 300 - 16 <= hits <= 0.1 * 300 + 16


def test_only_a_model_that_knows_patients_withholds_for_novelty(estimator: Estimator) -> None:
    """The same ECG: plausible to every signal check, new to the model."""
    near = replace(estimator.bundle.novelty, scores=np.zeros(99, dtype=np.float32))
    record = simulated(1, 3).records[0]
    for is_simulated in (True, False):
        bundle = replace(estimator.bundle, novelty=near, policy=Policy.for_model(is_simulated=is_simulated))
        answer = Estimator(bundle).estimate(record)
        assert Flag.OUT_OF_DISTRIBUTION in answer.flags
        assert answer.abstained is not is_simulated
        assert (answer.potassium_mmol_l is None) is not is_simulated
        assert answer.novelty is not None
        assert answer.novelty.p_value == 0.01


def test_what_is_withheld_as_novel_is_neither_explained_nor_part_of_a_history(estimator: Estimator) -> None:
    """An explanation tells the estimate, and an offset is made of it."""
    near = replace(estimator.bundle.novelty, scores=np.zeros(99, dtype=np.float32))
    bundle = replace(estimator.bundle, novelty=near, policy=Policy.for_model(is_simulated=False))
    record, of_patients = simulated(1, 3).records[0], Estimator(bundle)
    assert explain(estimator, record).effects
    with pytest.raises(UnusableRecord, match="withheld: the ECG is unlike"):
        explain(of_patients, record)
    assert estimator.personalize([(record, 4.0)]).n_pairs == 1
    with pytest.raises(UnusableRecord, match="earlier ECG 1 cannot be used: its estimate is withheld"):
        of_patients.personalize([(record, 4.0)])


def test_a_bundle_cannot_turn_the_rule_about_novelty_round() -> None:
    for is_simulated in (True, False):
        saved = Policy.for_model(is_simulated=is_simulated).to_dict()
        assert Policy.from_dict(saved, is_simulated=is_simulated) == Policy.for_model(is_simulated=is_simulated)
        with pytest.raises(ValueError, match="OUT_OF_DISTRIBUTION must"):
            Policy.from_dict(saved, is_simulated=not is_simulated)


Change = Callable[[dict[str, NDArray[np.float32]]], dict[str, NDArray[np.float32]]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a: {k: v for k, v in a.items() if k != "correlation"}, r"missing \['correlation'\]"),
        (lambda a: {**a, "patients": a["mean"]}, r"unknown \['patients'\]"),
        (lambda a: {**a, "scores": a["scores"][::-1].copy()}, "ascending"),
        (lambda a: {**a, "scale": a["scale"][:-1]}, "scale is not finite float32 of shape"),
        (lambda a: {**a, "usual": 0 * a["usual"]}, "not above 0"),
        (lambda a: {**a, "correlation": -a["correlation"]}, "positive definite"),
        (lambda a: {**a, "correlation": np.ones_like(a["correlation"])}, "positive definite"),
        (lambda a: {**a, "correlation": np.triu(a["correlation"])}, "symmetric"),
    ],
)
def test_a_malformed_novelty_part_is_refused(estimator: Estimator, change: Change, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        NoveltyModel.from_arrays(change(estimator.bundle.novelty.to_arrays()))


def test_the_fingerprint_of_a_blank_lead_and_of_a_short_ecg() -> None:
    """Blank leads are unknown; a recording that ends early looks like its beginning."""
    signal = np.random.default_rng(1).normal(size=(8, 2500)).astype(np.float32)
    blank = signal.copy()
    blank[3] = 0
    found = fingerprint(blank, 250.0)
    assert (~found.known).sum() == 1 + 7
    for end in (1250, 1251, 301):
        short = signal.copy()
        short[:, end - 1] = -1.0
        short[0, end - 1] = 0
        whole = short[:, :end].copy()
        short[:, end:] = 0
        np.testing.assert_allclose(fingerprint(short, 250.0).values, fingerprint(whole, 250.0).values)
