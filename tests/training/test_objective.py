"""Weights and shares of a loss that mean nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ecg_ka.losses import LabelBins, LabelWeights
from training.objective import ObjectiveConfig


@pytest.mark.parametrize("name", ["few_share", "dist_weight", "dist_tempering"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_shares_and_weights_that_mean_nothing_are_refused(name: str, value: float) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{value}.*expected"):
        ObjectiveConfig(**given)
    with pytest.raises(ValueError, match="expected"):
        ObjectiveConfig(dist_tempering=0.0)
    assert ObjectiveConfig(dist_weight=0.0, few_share=1.0).dist_weight == 0


@pytest.mark.parametrize("relative", [[1.0], [1.0, -1.0, 1.0], [1.0, math.nan, 1.0], [1.0, math.inf, 1.0], [0, 1, 0]])
def test_label_weights_that_mean_nothing_are_refused(relative: list[float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LabelWeights(LabelBins.from_labels([1.0, 3.0], width=1), relative)
