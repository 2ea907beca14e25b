"""The card: short, from our own alarm about this patient's latest ECG, and suggesting one thing only."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_ka.estimate import DISCLAIMER, Category, Estimate
from ecg_ka.exporters.cds import LONGEST_SUMMARY, PREFETCH_KEY, SERVICE_ID, cds_cards, cds_services
from ecg_ka.exporters.fhir import estimate_fhir
from ecg_ka.exporters.findings import CODE_SYSTEM, ESTIMATE_CODE
from ecg_ka.exporters.identity import Identity
from tests.ecg_ka.answers import NOW, clinical, demo, withheld

PATIENT = "4711"


def observation(estimate: Estimate | None = None, patient: str = PATIENT) -> Any:
    """What a FHIR server gives back of a bundle of ours."""
    whole = json.loads(
        estimate_fhir(estimate or clinical(), identity=Identity.of(f"Patient/{patient}", None), issued=NOW)
    )
    return next(e["resource"] for e in whole["entry"] if e["resource"]["resourceType"] == "Observation")


def search(*observations: Any) -> Any:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": item} for item in observations]}


def cards(prefetched: Any) -> list[Any]:
    return cds_cards(prefetched, PATIENT, now=NOW)


def test_an_alarm_gives_one_card_within_its_limits() -> None:
    for prefetched in (observation(), search(observation())):
        (card,) = cards(prefetched)
        assert len(card["summary"]) < LONGEST_SUMMARY == 140
        assert "6.1 mmol/L" in card["summary"]
        assert card["indicator"] == "warning"
        assert DISCLAIMER in card["detail"]
        (suggestion,) = card["suggestions"]
        (action,) = suggestion["actions"]
        assert action["type"] == "create"
        assert action["resource"]["code"] == {"text": "Serum potassium"}
        assert (action["resource"]["status"], action["resource"]["subject"]["reference"]) == ("draft", "Patient/4711")
        assert not re.search(r"\bnormal|ruled|exclud|treat|calcium|insulin|dose", json.dumps(card).lower())


def test_information_when_only_the_probability_crosses() -> None:
    (card,) = cards(observation(clinical(value=5.1)))
    assert card["indicator"] == "info"


CHANGES: dict[str, Callable[[Any], Any]] = {
    "no alarm": lambda o: set_category(o, Category.NO_ALARM),
    "no category": lambda o: o.pop("component"),
    "withdrawn": lambda o: o.update(status="entered-in-error"),
    "another code": lambda o: o["code"]["coding"][0].update(code="2823-3"),
    "another system": lambda o: o["code"]["coding"][0].update(system="http://loinc.org"),
    "another unit": lambda o: o["valueQuantity"].update(code="mg/dL"),
    "another patient": lambda o: o["subject"].update(reference="Patient/4712"),
    "no value": lambda o: o.pop("valueQuantity"),
    "a word": lambda o: o["valueQuantity"].update(value="6.1"),
    "true": lambda o: o["valueQuantity"].update(value=True),
    "too large": lambda o: o["valueQuantity"].update(value=1e300),
    "no number": lambda o: o["valueQuantity"].update(value=float("nan")),
    "no time": lambda o: o.pop("effectiveDateTime"),
    "no date": lambda o: o.update(effectiveDateTime="2026-13-45"),
    "too old": lambda o: o.update(effectiveDateTime=(NOW - timedelta(hours=25)).isoformat()),
    "in the future": lambda o: o.update(effectiveDateTime=(NOW + timedelta(days=2)).isoformat()),
}


def set_category(observation: Any, category: Category) -> None:
    for component in observation["component"]:
        if component["code"]["coding"][0]["code"] == "category":
            component["valueCodeableConcept"]["coding"][0]["code"] = str(category)


@pytest.mark.parametrize("change", CHANGES)
def test_anything_else_gives_none(change: str) -> None:
    changed = copy.deepcopy(observation())
    CHANGES[change](changed)
    assert cards(changed) == []


def test_a_demonstration_and_a_withheld_estimate_give_none() -> None:
    assert cards(observation(demo())) == []
    assert cards(observation(withheld())) == []


def test_the_latest_counts() -> None:
    later = observation(clinical("2026-05-06T06:30:00+00:00"))
    set_category(later, Category.NO_ALARM)
    assert cards(search(observation(), later)) == []
    assert len(cards(search(observation(clinical("2026-05-05T23:00:00+00:00")), observation()))) == 1


def test_a_day_without_a_time_counts_as_that_day() -> None:
    assert len(cards(observation(clinical("2026-05-06T06:00:00")))) == 1
    assert cards(observation(clinical("2026-05-03T06:00:00"))) == []


def test_the_service_asks_for_its_own_code_alone() -> None:
    (service,) = cds_services()["services"]
    assert (service["hook"], service["id"]) == ("patient-view", SERVICE_ID)
    assert f"code={CODE_SYSTEM}|{ESTIMATE_CODE}&" in service["prefetch"][PREFETCH_KEY]
    assert "{{context.patientId}}" in service["prefetch"][PREFETCH_KEY]


KEYS = ("resourceType", "meta", "status", "code", "subject", "effectiveDateTime", "valueQuantity", "component")
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.sampled_from(KEYS), json_values)
def test_no_prefetch_breaks_it_or_gets_a_word_of_its_own_in(key: str, value: Any) -> None:
    changed = {**observation(), key: value}
    for prefetched in (value, changed, search(changed), {"resourceType": "Bundle", "entry": value}):
        for card in cards(prefetched):
            assert card["summary"] == cards(observation())[0]["summary"] or key in (
                "valueQuantity",
                "effectiveDateTime",
            )
            assert len(card["summary"]) < LONGEST_SUMMARY


def test_a_deep_document_is_no_trouble() -> None:
    deep: Any = observation()
    for _ in range(5000):
        deep = search(deep)
    assert cards(deep) == []


@pytest.mark.parametrize("patient", ["", "a/b", "x" * 65, "<b>", "4711\n"])
def test_what_is_no_patient_id_gets_no_card(patient: str) -> None:
    assert cds_cards(observation(), patient, now=NOW) == []
