"""Lines are full, never too wide, and lose nothing."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_ka.exporters.lettering import em, wrap


@given(text=st.text(st.characters(exclude_categories=()), max_size=80), width=st.floats(2.0, 40.0), bold=st.booleans())
def test_every_line_fits_and_every_character_stays(text: str, width: float, bold: bool) -> None:
    lines = wrap(text, width, bold=bold)
    assert lines
    assert all(em(line, bold=bold) <= width + 1e-9 for line in lines)
    assert re.sub("[ \t\n\r\f\v]", "", "".join(lines)) == re.sub("[ \t\n\r\f\v]", "", text)


@given(words=st.lists(st.text("abcMW.i", min_size=1, max_size=9), min_size=1, max_size=40), width=st.floats(10.0, 40.0))
def test_a_line_breaks_only_where_the_next_word_has_no_room(words: list[str], width: float) -> None:
    lines = wrap(" ".join(words), width)
    for line, after in pairwise(lines):
        assert em(f"{line} {after.split()[0]}") > width


def test_what_belongs_together_is_not_parted() -> None:
    together = "P(K\xa0<\xa03.5)\xa0=\xa00.05"
    assert wrap(f"one {together}", em(together) + 1.0) == ["one", together]


def test_a_word_longer_than_a_line_is_cut_quickly() -> None:
    lines = wrap("x" * 200_000, 10.0)
    assert {len(line) for line in lines} == {20}


@pytest.mark.parametrize(
    ("text", "bold", "measured_em"),
    [
        ("Region: many-shot, 13930 training ECGs within 0.1 mmol/L. Signal: good.", False, 32.65),
        ("K 4.6 mmol/L, 90% interval 3.9\N{EN DASH}5.5", True, 16.22),
        ("RESAMPLED: The sampling rate was converted to the rate of the model.", True, 34.25),
    ],
)
def test_widths_are_those_of_a_browser_with_liberation_sans(text: str, bold: bool, measured_em: float) -> None:
    assert em(text, bold=bold) == pytest.approx(measured_em, rel=0.04 if bold else 0.002)
