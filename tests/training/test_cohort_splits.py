"""Nobody is in two splits, whatever the split is made by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.cohort import Split, split_of
from training.cohort.index import refuse_leakage
from training.cohort.splits import SplitBy, SplitRule

KEY = "key"
SITE = SplitRule(key=KEY, by=SplitBy.SITE, column="site", test_from=None, test_sites=("B",))
TIME = SplitRule(key=KEY, by=SplitBy.TIME, column="year", test_from="2017", test_sites=())


def listing(**columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"patient": [*"aabbcc"], **columns})


def test_other_sites_are_the_test_split_and_the_rest_is_where_the_hash_has_it() -> None:
    rows, steps = SITE.assign(listing(site=[*"AA", *"BB", "A", None]))
    assert rows["patient"].to_list() == [*"aabbc"]
    assert rows["split"].to_list()[2:4] == ["test", "test"]
    for patient, split in rows.filter(pl.col("site") == "A").select("patient", "split").rows():
        hashed = split_of(patient, KEY)
        assert split == (Split.TRAIN if hashed is Split.TEST else hashed)
    assert [step.left for step in steps] == [5, 5]


def test_of_a_patient_on_both_sides_only_what_is_held_out_stays() -> None:
    rows, steps = TIME.assign(listing(year=[2015, 2016, 2016, 2018, 2017, 2019]))
    assert rows.select("patient", "year").rows() == [("a", 2015), ("a", 2016), ("b", 2018), ("c", 2017), ("c", 2019)]
    assert rows["split"].to_list()[2:] == ["test"] * 3
    assert steps[-1].left == 5


def test_times_are_compared_as_times() -> None:
    times = [datetime(2024, 1, day) for day in range(1, 7)]
    rule = SplitRule(key=KEY, by=SplitBy.TIME, column="ecg_time", test_from="2024-01-05", test_sites=())
    rows, _ = rule.assign(listing(ecg_time=times))
    assert rows.filter(split="test")["ecg_time"].to_list() == times[4:]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("ABC")), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_no_patient_is_ever_in_two_splits(pairs: list[tuple[str, str]]) -> None:
    frame = pl.DataFrame(pairs, schema=["patient", "site"], orient="row")
    if "B" in frame["site"]:
        rows, _ = SITE.assign(frame)
        refuse_leakage(rows["patient"].to_numpy(), rows["split"].to_numpy())
        assert rows.filter(pl.col("split") == "test")["site"].unique().to_list() == ["B"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"by": SplitBy.TIME}, "--test-from goes with --split-by time"),
        ({"by": SplitBy.SITE, "test_from": "2017"}, "--test-from goes with"),
        ({"by": SplitBy.PATIENT, "test_sites": ("B",)}, "--test-sites goes with --split-by site"),
    ],
)
def test_options_that_do_not_go_together_are_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplitRule(**{"key": KEY, "column": "site", "test_from": None, "test_sites": (), **rule})


@pytest.mark.parametrize(
    ("rule", "message"),
    [(SITE, "no column site to split by"), (TIME, "--test-from 2017 cannot be compared with year")],
)
def test_a_column_that_does_not_serve_is_named(rule: SplitRule, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule.assign(listing(year=[[1]] * 6))
    with pytest.raises(ValueError, match="no ECG has site B"):
        SITE.assign(listing(site=["A"] * 6))


def test_a_patient_in_two_splits_is_refused() -> None:
    refuse_leakage(np.array(["a", "a", "b"]), np.array(["train", "train", "test"]))
    with pytest.raises(ValueError, match="1 patients are in more than one split, such as a"):
        refuse_leakage(np.array(["a", "a", "b"]), np.array(["train", "test", "test"]))
