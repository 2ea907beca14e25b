"""Every flag: one sentence, from one place, the same in all that people read."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

import ecg_ka
from ecg_ka import Estimate, Flag
from ecg_ka.exporters import estimate_page, estimates_text
from tests.ecg_ka.answers import demo
from tests.ecg_ka.ecgs import ecg

SOURCES = [
    path
    for package in ("ecg_ka", "service")
    for path in sorted((Path(ecg_ka.__file__).parents[1] / package).rglob("*"))
    if path.suffix in {".py", ".js", ".html"} and path.name != "flags.py"
]


@pytest.fixture(scope="module")
def flagged() -> Estimate:
    """An answer that raises every flag."""
    return replace(demo(), flags=tuple(Flag))


def plain(text: str) -> str:
    """Without markup, entities and line breaks."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


@pytest.mark.parametrize("flag", Flag)
def test_a_flag_has_one_sentence_that_a_clinician_can_read(flag: Flag) -> None:
    assert re.fullmatch(r"[A-Z][^.!?]*(\d\.\d[^.!?]*)*\.", flag.sentence)
    assert len(flag.sentence) < 200
    assert not re.search(r"ruled out|exclude|normal|treat|_", flag.sentence)


def test_no_two_flags_say_the_same() -> None:
    assert len({flag.sentence for flag in Flag}) == len(Flag)


@pytest.mark.parametrize("flag", Flag)
def test_the_sentence_stands_in_one_place(flag: Flag) -> None:
    """No other file of library, service or page has the first words of it."""
    start = " ".join(flag.sentence.split()[:7])
    assert not [path.name for path in SOURCES if start in plain(path.read_text())]


def test_command_line_and_page_show_every_flag_with_its_sentence(flagged: Estimate) -> None:
    record = ecg(1)
    shown = {
        "table": estimates_text([("ecg.csv", flagged)]),
        "page": estimate_page(record, flagged),
    }
    for name, text in shown.items():
        missing = [flag for flag in Flag if f"{flag}: {flag.sentence}" not in plain(text)]
        assert not missing, name


def test_the_answer_as_data_has_every_flag_with_its_sentence(flagged: Estimate) -> None:
    assert flagged.to_dict()["flags"] == [{"name": str(flag), "sentence": flag.sentence} for flag in Flag]
