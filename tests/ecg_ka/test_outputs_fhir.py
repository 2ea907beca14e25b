"""The FHIR bundle: valid R4 by two validators, never a laboratory value, and marked for what it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from ecg_ka.errors import ExportError
from ecg_ka.estimate import Estimate
from ecg_ka.exporters.fhir import estimate_fhir
from ecg_ka.exporters.findings import CODE_SYSTEM, ESTIMATE_CODE
from ecg_ka.exporters.identity import Identity
from tests.ecg_ka import r4
from tests.ecg_ka.answers import NOW, PATIENT_TEXT, clinical, demo, hostile, saying, withheld

UCUM_HERE = {"mmol/L", "1", "mV", "ms", "s", "Hz", "/min"}
STATUSES = {
    "Observation": "registered preliminary final amended corrected cancelled entered-in-error unknown",
    "DiagnosticReport": "registered partial preliminary final amended corrected appended cancelled entered-in-error "
    "unknown",
    "Device": "active inactive entered-in-error unknown",
    "DocumentReference": "current superseded entered-in-error",
}


def bundle(estimate: Estimate, identity: Identity | None = None) -> Any:
    return json.loads(estimate_fhir(estimate, identity=identity or Identity(), issued=NOW))


def resource(estimate: Estimate, kind: str, identity: Identity | None = None) -> Any:
    found = [entry["resource"] for entry in bundle(estimate, identity)["entry"]]
    (one,) = [item for item in found if item["resourceType"] == kind]
    return one


def everything(value: Any) -> Iterator[Any]:
    """Every object and every text in a document."""
    yield value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        yield from everything(item)


def test_an_independent_validator_finds_no_fault_and_finds_those_that_are_made() -> None:
    named = Identity.of("https://ehr.example/fhir/Patient/4711", "order 1")
    good = [bundle(e) for e in (demo(), clinical(), clinical(None), withheld(), saying(PATIENT_TEXT))]
    good += [bundle(clinical(), named), bundle(clinical(), Identity.of("HOSPITAL|4711", None))]
    broken = bundle(clinical())
    broken["entry"][2]["resource"] |= {"status": "banana", "valuePotassium": 5}
    *clean, wrong = r4.faults([*good, broken])
    assert clean == [[]] * len(good)
    assert any("banana" in fault or "status" in fault for fault in wrong)
    assert any("valuePotassium" in fault for fault in wrong)


def test_the_estimate_is_no_laboratory_value() -> None:
    observation = resource(clinical(value=6.1234), "Observation")
    assert observation["code"]["coding"] == [
        {
            "system": CODE_SYSTEM,
            "code": ESTIMATE_CODE,
            "display": "Potassium, estimated from ECG (not a laboratory measurement)",
        }
    ]
    assert observation["category"][0]["coding"][0]["code"] == "procedure"
    assert observation["status"] == resource(clinical(), "DiagnosticReport")["status"] == "preliminary"
    assert Decimal(str(observation["valueQuantity"]["value"])) == Decimal("6.12")
    text = json.dumps(bundle(clinical()))
    assert "2823-3" not in text
    assert "loinc" not in text.lower()
    assert '"laboratory"' not in text
    assert "referenceRange" not in text
    assert "interpretation" not in text


@pytest.mark.parametrize("make", [demo, withheld])
def test_no_value_stands_beside_its_absence(make: Callable[[], Estimate]) -> None:
    """obs-6, and obs-7: no component repeats the code of the whole."""
    observation = resource(make(), "Observation")
    for item in (observation, *observation["component"]):
        has_value = any(key.startswith("value") for key in item)
        assert has_value != ("dataAbsentReason" in item)
    assert ESTIMATE_CODE not in {c["code"]["coding"][0]["code"] for c in observation["component"]}


def test_a_withheld_estimate_says_why_and_gives_no_number_of_potassium() -> None:
    observation = resource(withheld(), "Observation")
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    assert "amplitude" in observation["dataAbsentReason"]["text"]
    assert not [item for item in everything(observation) if isinstance(item, dict) and item.get("unit") == "mmol/L"]


def test_units_are_ucum_and_required_bindings_hold() -> None:
    for estimate in (demo(), clinical(), withheld()):
        whole = bundle(estimate)
        quantities = [q for q in everything(whole) if isinstance(q, dict) and "unit" in q]
        assert all(q["system"] == "http://unitsofmeasure.org" and q["code"] in UCUM_HERE for q in quantities)
        for entry in whole["entry"]:
            kind = entry["resource"]["resourceType"]
            assert entry["request"]["method"] == "POST"
            assert entry["request"]["url"] == kind
            assert kind not in STATUSES or entry["resource"]["status"] in STATUSES[kind].split()
        assert whole["type"] == "transaction"


def test_every_reference_within_the_bundle_is_answered_in_it() -> None:
    whole = bundle(clinical())
    urls = {entry["fullUrl"] for entry in whole["entry"]}
    references = {item["reference"] for item in everything(whole) if isinstance(item, dict) and "reference" in item}
    assert len(urls) == 5
    assert references < urls


def test_what_a_program_asserted_says_so_and_test_data_too() -> None:
    for estimate, expected in ((demo(), {"AIAST", "HTEST"}), (clinical(), {"AIAST"})):
        for entry in bundle(estimate)["entry"]:
            assert {label["code"] for label in entry["resource"]["meta"]["security"]} == expected


@pytest.mark.parametrize(
    ("acquired", "effective"),
    [
        ("2026-05-06T06:00:00+02:00", "2026-05-06T06:00:00+02:00"),
        ("2026-05-06T06:00:00", "2026-05-06"),
        (None, None),
    ],
)
def test_a_time_without_a_zone_is_given_as_a_day(acquired: str | None, effective: str | None) -> None:
    observation = resource(clinical(acquired), "Observation")
    assert observation.get("effectiveDateTime") == effective
    assert ("local time" in json.dumps(observation["note"])) == (acquired is not None and acquired != effective)


def test_identity_is_copied_as_given_and_absent_otherwise() -> None:
    assert "subject" not in resource(clinical(), "Observation")
    given = Identity.of("HOSPITAL|A^4711", "order 1")
    observation = resource(clinical(), "Observation", given)
    assert observation["subject"]["identifier"] == {"assigner": {"display": "HOSPITAL"}, "value": "A^4711"}
    assert observation["identifier"][1]["value"] == "order 1"
    by_uri = resource(clinical(), "Observation", Identity.of("urn:oid:1.2.3|4711", None))
    assert by_uri["subject"]["identifier"] == {"system": "urn:oid:1.2.3", "value": "4711"}
    assert resource(clinical(), "Observation", Identity.of("Patient/7", None))["subject"] == {"reference": "Patient/7"}


@pytest.mark.parametrize("subject", ["", "Patient/", "4711", "javascript:alert(1)//Patient/7", "|4711", "A|", "A\n|4"])
def test_what_is_no_identity_is_refused(subject: str) -> None:
    with pytest.raises(ExportError):
        Identity.of(subject, None)


def test_the_same_answer_is_created_once() -> None:
    first, again = bundle(clinical()), bundle(replace(clinical(), timing_ms=99.0))
    assert [entry["fullUrl"] for entry in first["entry"]] == [entry["fullUrl"] for entry in again["entry"]]
    other = bundle(clinical(value=6.2))
    same = [a["fullUrl"] == b["fullUrl"] for a, b in zip(first["entry"], other["entry"], strict=True)]
    assert same == [True, True, False, False, False]  # the model and its card are the same, the answer is not


@settings(max_examples=20, deadline=None)
@given(hostile)
def test_hostile_text_stays_text(text: str) -> None:
    plain, told = bundle(saying("x")), bundle(saying(text))
    assert [e["resource"]["resourceType"] for e in told["entry"]] == [
        e["resource"]["resourceType"] for e in plain["entry"]
    ]
    for item in everything(told):
        if isinstance(item, str):
            assert item.isprintable()
            assert item.strip()
