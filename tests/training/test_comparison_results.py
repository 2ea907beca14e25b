"""Verdict, reference curve and pictures of a table, and what is too weak for one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecg_ka.uncertainty import Regions
from tests.training.drawn_cells import cell, group_of, labels
from training.comparison.methods import (
    BACKBONE,
    CONTROLS,
    DIST_WHOLE,
    FRONT,
    QUANTILE_MAP,
)
from training.comparison.plots import error_by_label
from training.comparison.results import Group, refuse_weak_backbones
from training.comparison.tradeoff import verdict
from training.metrics import regression_metrics
from training.objective import make_objective


def test_weak_backbones_are_refused_and_good_ones_are_not() -> None:
    y = labels(1)
    noise = np.random.default_rng(0).normal(size=len(y))
    good, weak = cell(y, y + 0.3 * noise), cell(y, y + 9 * noise)
    refuse_weak_backbones([good, good])
    with pytest.raises(ValueError, match=r"prior wide have AUROC 0\.\d+ at K >= 5.5"):
        refuse_weak_backbones([weak])
    with pytest.raises(ValueError, match=r"nan at K >= 5\.5"):
        refuse_weak_backbones([good, cell(np.full(50, 4.2), np.linspace(4, 5, 50))])
    assert regression_metrics(y, y, Regions())["mae"] == 0


def test_the_verdict_is_the_arithmetic_of_the_errors() -> None:
    many = {"l1": 0.2, "quantile_map": 0.3} | {m.name: 0.2 + 0.02 * i for i, m in enumerate(FRONT)}
    few = {"l1": 0.8, "quantile_map": 0.5} | {m.name: 0.8 - 0.11 * i for i, m in enumerate(FRONT)}
    words = verdict(group_of(few, many))
    assert "Reached by 1 of 8 methods." in words
    reached = "-27.5 % (-27.5 to -27.5) at +20.0 % (+20.0 to +20.0) (by seed -27.5, -27.5 at +20.0, +20.0 %)"
    assert f"that of {FRONT[2].title}: {reached}" in words
    assert "few -34.4 % where many is at +25 %; many +18.2 % where few is at -25 %." in words
    assert "Dist Loss with inverse weights" not in words
    assert f"| {QUANTILE_MAP.title} | -37.5 % | +50.0 % |" in words
    hopeless = verdict(group_of(few | {m.name: 0.75 for m in FRONT}, many))
    assert "No method reaches it." in hopeless
    assert "few from -6.2 % to -6.2 %, never at -25 %" in hopeless


def test_the_reference_curve_weighs_two_errors() -> None:
    """Weighted so, the mean loss is the share a of the few-shot MAE and 1 - a of the many-shot MAE."""
    y, p = labels(4), labels(5)
    found = regression_metrics(y, p, Regions())
    for method in FRONT:
        loss = make_objective(method.objective, y, 8).loss
        a = method.objective.few_share
        expected = (1 - a) * found["mae_many"] + a * found["mae_few"]
        assert float(loss(torch.tensor(p), torch.tensor(y))) == pytest.approx(expected, rel=1e-5)


def test_the_error_is_drawn_at_its_label() -> None:
    """An error that says at which label it is: its mean over the labels that round to 0.2 mmol/L."""
    y = labels(6)
    made = {m.name: [cell(y, y + (y - 1))] for m in (BACKBONE, QUANTILE_MAP, DIST_WHOLE, *CONTROLS)}
    methods = (BACKBONE, *CONTROLS, DIST_WHOLE)
    (axes,) = error_by_label(Group("g", "Title", "wide", methods, (DIST_WHOLE,), made)).axes
    x, error = (np.asarray(values) for values in axes.lines[0].get_data())
    np.testing.assert_allclose(x, np.rint(x * 5) / 5)
    assert len(x) > 10
    np.testing.assert_allclose(error, x - 1, atol=0.1 + 1e-9)
