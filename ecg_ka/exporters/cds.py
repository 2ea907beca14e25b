"""CDS Hooks: a card for a clinician who opens a patient, from an estimate that was filed as FHIR before.

A request carries no ECG and nothing is kept by patient, so the card is made from the Observation that comes with the
request, and from nothing else: no server is ever asked. Shape: CDS Hooks 2.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ecg_ka.estimate import DISCLAIMER, Category
from ecg_ka.exporters.fhir import HTEST
from ecg_ka.exporters.findings import CODE_SYSTEM, ESTIMATE_CODE, MMOL_L

SERVICE_ID = "ecg-ka"
PREFETCH_KEY = "estimate"
MAX_AGE = timedelta(hours=24)
"""Potassium changes within hours: an older ECG gets no card."""

LONGEST_SUMMARY = 140
_PLAUSIBLE_MMOL_L = (0.5, 20.0)
_PATIENT_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))?")
_ALARMS = {Category.ALARM_5_5_AND_ABOVE: "5.5 or more", Category.ALARM_BELOW_3_5: "below 3.5"}

Json = dict[str, Any]


def cds_services() -> Json:
    """What ``GET /cds-services`` answers."""
    code = f"{CODE_SYSTEM}|{ESTIMATE_CODE}"
    query = f"Observation?patient={{{{context.patientId}}}}&code={code}&_sort=-date&_count=1"
    service = {
        "hook": "patient-view",
        "id": SERVICE_ID,
        "title": "Potassium estimated from ECG",
        "description": "Suggests a confirmatory serum potassium when the latest ECG estimate raised an alarm. "
        f"{DISCLAIMER}",
        "prefetch": {PREFETCH_KEY: query},
    }
    return {"services": [service]}


def cds_cards(prefetched: object, patient_id: str, *, now: datetime) -> list[Json]:
    """At most one card, from an Observation or a search result that holds some: that of the latest one.

    None when there is no estimate, it was withheld, raised no alarm, is test data, or belongs to an ECG of more than
    :data:`MAX_AGE` ago, and for whatever is no such Observation.
    """
    if not _PATIENT_ID.fullmatch(patient_id):
        return []
    found = [said for item in _observations(prefetched) if (said := _read(item, patient_id)) is not None]
    if not found:
        return []
    latest = max(found, key=lambda said: said.at)
    # a date stands for any time of that day anywhere
    is_fresh = -timedelta(days=1) <= now - latest.at <= MAX_AGE + timedelta(days=1 if latest.is_date else 0)
    return [_card(latest, patient_id)] if is_fresh and latest.category in _ALARMS else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What an Observation of ours says, with nothing of it as text."""

    value: float
    category: Category | None
    at: datetime
    is_date: bool


def _observations(prefetched: object) -> Iterator[Mapping[str, Any]]:
    match prefetched:
        case {"resourceType": "Bundle", "entry": [*entries]}:
            resources = [entry.get("resource") for entry in entries if isinstance(entry, Mapping)]
        case _:
            resources = [prefetched]
    for resource in resources:
        if isinstance(resource, Mapping) and resource.get("resourceType") == "Observation":
            yield resource


def _read(observation: Mapping[str, Any], patient_id: str) -> _Said | None:
    """The estimate in an Observation of our code about this patient; None for every other, and for test data."""
    match observation:
        case {
            "status": "preliminary" | "final" | "amended" | "corrected",
            "code": {"coding": [*codings]},
            "valueQuantity": {"value": int() | float() as value, "code": unit},
            "effectiveDateTime": str(when),
        } if unit == MMOL_L and not isinstance(value, bool) and (CODE_SYSTEM, ESTIMATE_CODE) in _codes(codings):
            pass
        case _:
            return None
    low, high = _PLAUSIBLE_MMOL_L
    at = _moment(when)
    if at is None or not low <= value <= high or _is_test(observation) or not _is_about(observation, patient_id):
        return None
    return _Said(value=float(value), category=_category(observation), at=at, is_date=len(when) == 10)


def _codes(codings: Sequence[object]) -> Iterator[tuple[object, object]]:
    return ((coding.get("system"), coding.get("code")) for coding in codings if isinstance(coding, Mapping))


def _is_test(observation: Mapping[str, Any]) -> bool:
    match observation:
        case {"meta": {"security": [*labels]}}:
            return (HTEST["system"], HTEST["code"]) in _codes(labels)
    return False


def _is_about(observation: Mapping[str, Any], patient_id: str) -> bool:
    """Whether it names this patient; one without a reference was found by the search for the patient."""
    match observation:
        case {"subject": {"reference": str(reference)}}:
            return reference.rpartition("/")[2] == patient_id
    return True


def _category(observation: Mapping[str, Any]) -> Category | None:
    components = observation.get("component")
    for component in components if isinstance(components, list) else []:
        match component:
            case {"code": {"coding": [*codings]}, "valueCodeableConcept": {"coding": [{"code": str(value)}]}} if (
                CODE_SYSTEM,
                "category",
            ) in _codes(codings):
                return next((category for category in Category if category == value), None)
    return None


def _moment(text: str) -> datetime | None:
    if not _MOMENT.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _card(said: _Said, patient_id: str) -> Json:
    """A warning when the estimate itself lies beyond the alarm's threshold, else information."""
    assert said.category is not None  # noqa: S101 - the caller looked
    is_beyond = said.value >= 5.5 if said.category is Category.ALARM_5_5_AND_ABOVE else said.value < 3.5
    what = f"ECG of {said.at:%Y-%m-%d}: potassium estimated at {said.value:.1f} mmol/L, not measured"
    return {
        "uuid": str(uuid5(NAMESPACE_URL, f"{ESTIMATE_CODE} {said.at.isoformat()} {said.value} {patient_id}")),
        "summary": f"{what}; the alarm for {_ALARMS[said.category]} was raised.",
        "indicator": "warning" if is_beyond else "info",
        "detail": f"{said.category.sentence} {DISCLAIMER}",
        "source": {"label": "ecg-ka, research use only"},
        "selectionBehavior": "at-most-one",
        "suggestions": [_suggestion(patient_id)],
    }


def _suggestion(patient_id: str) -> Json:
    """An order in the words of any catalogue: which code a serum potassium has there is not known here."""
    request = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "code": {"text": "Serum potassium"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }
    label = "Order a confirmatory serum potassium"
    return {
        "label": label,
        "uuid": str(uuid5(NAMESPACE_URL, f"{label} {patient_id}")),
        "actions": [{"type": "create", "description": label, "resource": request}],
    }
