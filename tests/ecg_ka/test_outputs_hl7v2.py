"""The HL7 v2 message: read by an independent parser in strict mode, whatever a file says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_ka.estimate import Estimate, Probability
from ecg_ka.exporters.findings import ESTIMATE_CODE
from ecg_ka.exporters.hl7v2 import escaped, estimate_hl7v2
from ecg_ka.exporters.identity import Identity
from tests.ecg_ka.answers import NOW, PATIENT_TEXT, clinical, demo, hostile, saying, withheld

UNESCAPED = {"\\F\\": "|", "\\S\\": "^", "\\T\\": "&", "\\R\\": "~", "\\E\\": "\\"}


def message(estimate: Estimate, identity: Identity | None = None) -> str:
    return estimate_hl7v2(estimate, identity=identity or Identity(), issued=NOW).decode()


def parsed(text: str) -> Any:
    found = parse_message(text, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
    assert found.validate()
    return found


def segments(text: str, name: str) -> list[list[str]]:
    return [line.split("|") for line in text.split("\r") if line.startswith(f"{name}|")]


def unescaped(text: str) -> str:
    """What a receiver reads, by its own way through the text."""
    read, at = "", 0
    while at < len(text):
        step = 3 if text[at : at + 3] in UNESCAPED else 1
        read += UNESCAPED.get(text[at : at + step], text[at])
        at += step
    return read


@pytest.mark.parametrize(
    "identity", [Identity(), Identity.of("HOSPITAL|4711", "order 1"), Identity.of("Patient/1", None)]
)
def test_an_independent_parser_reads_the_result(identity: Identity) -> None:
    for estimate in (demo(), clinical(), clinical(None), withheld(), saying(PATIENT_TEXT)):
        found = parsed(message(estimate, identity))
        order = found.oru_r01_patient_result.oru_r01_order_observation
        first = order.oru_r01_observation[0].obx
        assert first.obx_3.value.startswith(f"{ESTIMATE_CODE}^")
        if estimate.potassium_mmol_l is not None:
            assert float(first.obx_5.value) == round(estimate.potassium_mmol_l, 2)


def test_the_parser_would_notice() -> None:
    text = message(clinical())
    for broken in (text.replace("|ORU^R01^ORU_R01|", "||"), text.replace("\rOBX|1|NM|", "\rZZZ|1|\rOBX|1|NM|")):
        with pytest.raises(HL7apyException):
            parsed(broken)


def test_the_estimate_is_a_preliminary_number_of_a_local_code() -> None:
    obx, obr = segments(message(clinical()), "OBX")[0], segments(message(clinical()), "OBR")[0]
    assert obx[2:7] == ["NM", obr[4], "1", "6.10", "mmol/L^mmol/L^UCUM"]
    assert obr[4].endswith("^99ECGKA")
    assert (obx[11], obr[25]) == ("P", "P")
    assert obx[14] == obr[7] == "20260506060000+0000"
    assert obx[8] == ""  # no abnormal flag: that is for laboratory values
    assert "2823-3" not in message(clinical())


def test_a_refusal_has_no_value_and_status_x() -> None:
    text = message(withheld())
    obx = segments(text, "OBX")[0]
    assert (obx[2], obx[5], obx[11], segments(text, "OBR")[0][25]) == ("", "", "X", "X")
    assert "mmol/L^" not in text
    assert "amplitude" in text


def test_a_demonstration_is_a_test_message() -> None:
    assert [segments(message(e), "MSH")[0][10] for e in (demo(), clinical())] == ["T", "P"]


def test_identity_is_copied_and_otherwise_there_is_no_patient() -> None:
    assert not segments(message(clinical()), "PID")
    text = message(clinical(), Identity.of("HOSP|A|47^11", "order~1"))
    assert segments(text, "PID")[0][3] == "47\\S\\11^^^HOSP\\F\\A^MR"
    assert segments(text, "OBR")[0][2] == "order\\R\\1"


@pytest.mark.parametrize(
    ("assigner", "written"),
    [
        ("urn:oid:1.2.3", "&1.2.3&ISO"),
        ("https://a.example/mrn", "&https://a.example/mrn&URI"),
        ("A hospital with a long name", "&A hospital with a long name&L"),
    ],
)
def test_an_assigner_is_named_as_what_it_is(assigner: str, written: str) -> None:
    text = message(clinical(), Identity.of(f"{assigner}|4711", None))
    assert segments(text, "PID")[0][3] == f"4711^^^{written}^MR"
    parsed(text)


def test_a_tiny_probability_is_a_bound_and_never_nought() -> None:
    tiny = (Probability(comparator="<", threshold_mmol_l=3.0, p=0.0),)
    text = message(replace(clinical(), probabilities=tiny))
    (obx,) = [row for row in segments(text, "OBX") if row[3].startswith("probability")]
    assert (obx[2], obx[5]) == ("SN", "<^0.001")
    parsed(text)


def test_a_time_without_a_zone_stays_without_one() -> None:
    assert segments(message(clinical("2026-05-06T06:00:00")), "OBX")[0][14] == "20260506060000"


@settings(max_examples=60, deadline=None)
@given(hostile)
def test_hostile_text_changes_no_structure(text: str) -> None:
    plain, told = message(saying("x")), message(saying(text))
    assert [len(line.split("|")) for line in told.split("\r")] == [len(line.split("|")) for line in plain.split("\r")]
    assert [line[:4] for line in told.split("\r")] == [line[:4] for line in plain.split("\r")]
    assert all(line.isprintable() for line in told.split("\r"))


@settings(deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
def test_what_is_escaped_is_read_back(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not set(escaped(text)) & set("|^&~\r")
