"""Ranking against the definitions: pairs, steps of recall, every cut-off tried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training import metrics
from training.metrics_ranking import Curve, Ranking, predictive_values

Scored = tuple[NDArray[np.bool_], NDArray[np.float64]]


@st.composite
def scored(draw: st.DrawFn) -> Scored:
    """ECGs with events and scores, ties among them, at least one of either kind."""
    rows = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 7)), min_size=1, max_size=40))
    rows += [(True, draw(st.integers(0, 7))), (False, draw(st.integers(0, 7)))]
    return np.array([event for event, _ in rows]), np.array([score for _, score in rows], dtype=np.float64)


def curve(event: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    return Ranking.of(event, scores).curve(np.ones((1, len(event))))


@given(scored())
@settings(max_examples=100, deadline=None)
def test_auroc_is_the_share_of_pairs_in_the_right_order(given_: Scored) -> None:
    event, scores = given_
    difference = scores[event][:, None] - scores[~event]
    expected = ((difference > 0) + 0.5 * (difference == 0)).mean()
    assert curve(event, scores).auroc()[0] == pytest.approx(expected)
    if min(event.sum(), (~event).sum()) > 1:
        assert metrics.auroc(event, scores).value == pytest.approx(expected)


@given(scored())
@settings(max_examples=100, deadline=None)
def test_average_precision_weighs_the_precision_at_each_cutoff_by_the_recall_it_adds(given_: Scored) -> None:
    event, scores = given_
    expected, before = 0.0, 0.0
    for cutoff in sorted(set(scores), reverse=True):
        recall = event[scores >= cutoff].sum() / event.sum()
        expected += (recall - before) * event[scores >= cutoff].mean()
        before = recall
    assert curve(event, scores).average_precision()[0] == pytest.approx(expected)


@given(scored(), st.sampled_from([0.5, 0.8, 0.9, 1.0]))
@settings(max_examples=100, deadline=None)
def test_fixed_points_are_the_best_of_all_cutoffs(given_: Scored, least: float) -> None:
    event, scores = given_
    tried = [(np.mean(scores[event] >= c), np.mean(scores[~event] < c)) for c in [*set(scores), np.inf]]
    found = curve(event, scores)
    sensitivity, specificity = (float(x[0]) for x in found.at_specificity(least))
    assert sensitivity == pytest.approx(max(sens for sens, spec in tried if spec >= least - 1e-12))
    assert specificity >= least - 1e-12
    sensitivity, specificity = (float(x[0]) for x in found.at_sensitivity(least))
    assert specificity == pytest.approx(max(spec for sens, spec in tried if sens >= least - 1e-12))
    assert sensitivity >= least - 1e-12


def test_counts_are_the_same_as_ecgs_repeated() -> None:
    rng = np.random.default_rng(0)
    event, scores = rng.random(60) < 0.3, rng.integers(0, 12, 60).astype(np.float64)
    counts = rng.integers(0, 3, 60)
    one = Ranking.of(event, scores).curve(counts[None].astype(np.float64))
    other = curve(np.repeat(event, counts), np.repeat(scores, counts))
    assert one.auroc()[0] == pytest.approx(other.auroc()[0])
    assert one.average_precision()[0] == pytest.approx(other.average_precision()[0])
    np.testing.assert_allclose(one.at_specificity(0.9), other.at_specificity(0.9))


def test_one_kind_of_ecg_alone_ranks_nothing() -> None:
    found = curve(np.zeros(5, dtype=np.bool_), np.arange(5.0))
    assert np.isnan([found.auroc()[0], found.average_precision()[0], *found.at_specificity(0.9)[0]]).all()


@given(st.integers(1, 50), st.integers(0, 50), st.integers(1, 50), st.integers(0, 50))
def test_at_its_own_prevalence_bayes_gives_the_observed_predictive_values(tp: int, fn: int, tn: int, fp: int) -> None:
    sensitivity, specificity = np.array(tp / (tp + fn)), np.array(tn / (tn + fp))
    positive, negative = predictive_values(sensitivity, specificity, (tp + fn) / (tp + fn + tn + fp))
    assert float(positive) == pytest.approx(tp / (tp + fp))
    assert float(negative) == pytest.approx(tn / (tn + fn))


def test_predictive_values_where_there_is_nothing_to_divide_by() -> None:
    positive, negative = predictive_values(np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.1)
    assert np.isnan([positive[0], negative[1]]).all()
    assert [negative[0], positive[1]] == pytest.approx([0.9, 0.1])
