"""Coverage, bands and alarms as the evaluation counts them."""

from __future__ import annotations

import numpy as np
import pytest

from ecg_ka.uncertainty import Calibration, Pairs, Regions
from tests.ecg_ka.test_label_conditional import CURVES, drawn
from training.answers import LEVEL, answers_for
from training.card import _bands, _category_alarms, _intervals
from training.guarantees import guarantees

MADE = Calibration.fit(Pairs(*drawn(2000, 0)), CURVES, Regions())


def test_coverage_width_bands_and_alarms_are_those_of_single_answers() -> None:
    estimates, spreads, labels = drawn(500, 1)
    found = guarantees(labels, answers_for(Pairs(estimates, spreads, labels), MADE), MADE)
    high = labels >= 5.45
    intervals = [MADE.label_conditional.interval(e, LEVEL) for e in estimates]
    held = np.array([i.lower - 1e-6 <= k <= i.upper + 1e-6 for i, k in zip(intervals, labels, strict=True)])
    widths = np.array([i.upper - i.lower for i in intervals])
    group = found["intervals_label_conditional"]["by_true_value"]["5_5_and_above"]
    assert group == {
        "n": high.sum(),
        "coverage": pytest.approx(held[high].mean()),
        "mean_width": pytest.approx(widths[high].mean()),
    }
    sets = [MADE.label_conditional.bands(*pair) for pair in zip(estimates, spreads, strict=True)]
    band = found["bands"]["by_true_band"]["5_5_and_above"]
    assert band["in_set"] == pytest.approx(np.mean(["5_5_and_above" in s for s in np.array(sets, object)[high]]))
    severe = [MADE.label_conditional.severe_bands(*pair) for pair in zip(estimates, spreads, strict=True)]
    held_severe = ["6_0_and_above" in s for s, k in zip(severe, labels, strict=True) if k >= 5.95]
    assert found["severe_bands"]["by_true_band"]["6_0_and_above"]["in_set"] == pytest.approx(np.mean(held_severe))
    alarm = found["alarms"]["alarm_5_5_and_above"]
    p = np.array([MADE.distribution.predict(*pair).p_at_least(5.5) for pair in zip(estimates, spreads, strict=True)])
    raised = p > alarm["operating_point"]
    assert alarm["sensitivity"] == pytest.approx(raised[high].mean())
    assert alarm["false_alarms"] == pytest.approx(raised[~high].mean())
    assert alarm["positive_predictive_value"] == pytest.approx(high[raised].mean())


def test_what_was_not_there_has_no_share_and_a_card_all_the_same() -> None:
    middle = np.full(20, 4.2)
    found = guarantees(middle, answers_for(Pairs(middle, np.full(20, 0.3), middle), MADE), MADE)
    assert found["bands"]["by_true_band"]["5_5_and_above"]["in_set"] is None
    assert found["alarms"]["alarm_5_5_and_above"]["sensitivity"] is None
    assert found["intervals"]["by_true_value"]["few_high"] == {"n": 0, "coverage": None, "mean_width": None}
    text = _intervals(found) + _bands(found["bands"]) + _category_alarms(found["alarms"])
    assert "K >= 5.5 | 0 | - | - | - | - |" in text
    assert "nan" not in text.lower()
