"""An estimate as a FHIR R4 transaction bundle.

Resources and required bindings: HL7 FHIR R4 (4.0.1). Marking of what a program asserted (AIAST): HL7 AI Transparency
on FHIR. The estimate is no laboratory value and never has a laboratory's code or category.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from ecg_ka.errors import MissingDependency
from ecg_ka.estimate import Category, Estimate
from ecg_ka.exporters.content_id import content_id, model_id
from ecg_ka.exporters.findings import (
    CODE_SYSTEM,
    ESTIMATE_CODE,
    ESTIMATE_TEXT,
    Concept,
    Finding,
    Quantity,
    estimate_value,
    findings,
    plain,
    worded,
)
from ecg_ka.exporters.identity import Identity
from ecg_ka.flags import Flag

_UCUM = "http://unitsofmeasure.org"
_URI = "urn:ietf:rfc:3986"
_V2_0074 = "http://terminology.hl7.org/CodeSystem/v2-0074"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_AIAST = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
HTEST = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
    "display": "test health data",
}
"""The label of test data."""

Json = dict[str, Any]


def estimate_fhir(estimate: Estimate, *, identity: Identity, issued: datetime) -> bytes:
    """A transaction bundle as JSON in UTF-8: Observation, DiagnosticReport, Provenance, Device and its model card.

    Model and card are created once a server, by their identifiers; posting the same answer twice creates it once.
    A demonstration's resources are labelled as test data.

    Raises:
        MissingDependency: the extra ``exports`` is not installed.
    """
    try:
        from fhir.resources.R4B.bundle import Bundle
    except ImportError as error:
        raise MissingDependency("FHIR needs fhir.resources; pip install 'ecg-ka[exports]'") from error
    return Bundle.model_validate(_bundle(estimate, identity, issued)).model_dump_json().encode()


def _bundle(estimate: Estimate, identity: Identity, issued: datetime) -> Json:
    device, card = model_id("FHIR Device", estimate), model_id("FHIR model card", estimate)
    observation, report, provenance = (
        content_id(f"FHIR {kind}", estimate, identity) for kind in ("Observation", "DiagnosticReport", "Provenance")
    )
    about = _About(estimate, identity, issued)
    resources = {
        device: about.device(device),
        card: about.model_card(card, device),
        observation: about.observation(observation, device),
        report: about.report(report, observation),
        provenance: about.provenance((observation, report), device),
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "meta": {"security": about.security},
        "entry": [_entry(identifier, resource) for identifier, resource in resources.items()],
    }


def _entry(identifier: UUID, resource: Json) -> Json:
    """What is posted; what has an identifier of its own is only created where no resource has it yet."""
    request = {"method": "POST", "url": resource["resourceType"]}
    if "identifier" in resource:
        request["ifNoneExist"] = f"identifier={_URI}|{identifier.urn}"
    return {"fullUrl": identifier.urn, "resource": resource, "request": request}


class _About:
    """The resources about one estimate, each as plain JSON."""

    def __init__(self, estimate: Estimate, identity: Identity, issued: datetime) -> None:
        self.estimate = estimate
        self.issued = issued.isoformat(timespec="seconds")
        self.security = [_AIAST, HTEST] if Flag.DEMO_MODEL in estimate.flags else [_AIAST]
        self._subject = _subject(identity)
        self._client = [] if identity.client_reference is None else [_identifier(identity.client_reference)]
        self._when = _effective(estimate.ecg.acquired_at)

    def observation(self, own: UUID, device: UUID) -> Json:
        """The estimate, with all that is known about it as components."""
        value, e = estimate_value(self.estimate), self.estimate
        return {
            **self._start("Observation", own),
            "status": "preliminary",
            "category": [_concept(_CATEGORY, "procedure", "Procedure")],
            "code": _concept(CODE_SYSTEM, ESTIMATE_CODE, ESTIMATE_TEXT) | {"text": ESTIMATE_TEXT},
            **self._subject,
            **self._when,
            "issued": self.issued,
            **(_value(value) if value else _absent(e.abstain_reasons)),
            "note": [{"text": text} for text in (e.disclaimer, *_time_note(e.ecg.acquired_at))],
            "device": {"reference": device.urn},
            "derivedFrom": [self._ecg()],
            "component": [_component(finding) for finding in findings(e)],
        }

    def report(self, own: UUID, observation: UUID) -> Json:
        """The report that an inbox shows."""
        return {
            **self._start("DiagnosticReport", own),
            "status": "preliminary",
            "category": [_concept(_V2_0074, "EC", "Electrocardiac (e.g., EKG, EEC, Holter)")],
            "code": {"text": "ECG report: potassium estimated, not measured"},
            **self._subject,
            **self._when,
            "issued": self.issued,
            "result": [{"reference": observation.urn}],
            "conclusion": _conclusion(self.estimate),
        }

    def provenance(self, targets: tuple[UUID, ...], device: UUID) -> Json:
        """Which program made the others, and from what."""
        assembler = _concept(_PARTICIPANT, "assembler", "Assembler")
        return {
            "resourceType": "Provenance",
            "meta": {"security": self.security},
            "target": [{"reference": target.urn} for target in targets],
            "recorded": self.issued,
            "agent": [{"type": assembler, "who": {"reference": device.urn}}],
            "entity": [{"role": "source", "what": self._ecg()}],
        }

    def device(self, own: UUID) -> Json:
        """The model, as a device."""
        model = self.estimate.model
        return {
            **self._start("Device", own, of_one_answer=False),
            "status": "active",
            "manufacturer": "ecg-ka",
            "deviceName": [{"name": worded(model.name), "type": "model-name"}],
            "version": [{"value": worded(model.version)}],
            "type": {"text": "Artificial intelligence: ECG to estimated potassium. Not a medical device."},
            "note": [{"text": f"SHA-256 of the model bundle: {worded(model.sha256)}"}],
        }

    def model_card(self, own: UUID, device: UUID) -> Json:
        """What the model was made from and for, as an attachment."""
        card = json.dumps({**asdict(self.estimate.model), "disclaimer": self.estimate.disclaimer}, sort_keys=True)
        attachment = {
            "contentType": "application/json",
            "data": base64.b64encode(card.encode()).decode(),
            "title": "Model card",
        }
        return {
            **self._start("DocumentReference", own, of_one_answer=False),
            "status": "current",
            "type": {"text": "Model card"},
            "subject": {"reference": device.urn},
            "content": [{"attachment": attachment}],
        }

    def _start(self, kind: str, own: UUID, *, of_one_answer: bool = True) -> Json:
        identifiers = [{"system": _URI, "value": own.urn}, *(self._client if of_one_answer else [])]
        return {"resourceType": kind, "meta": {"security": self.security}, "identifier": identifiers}

    def _ecg(self) -> Json:
        """The ECG by its hash: where it is stored is not known here."""
        ecg = self.estimate.ecg
        device = f", {plain(ecg.device)}" if ecg.device and plain(ecg.device) else ""
        return {
            "type": "DocumentReference",
            "identifier": {"system": "urn:ecg-ka:sha256", "value": worded(ecg.sha256)},
            "display": f"ECG, {worded(ecg.format)}{device}",
        }


def _subject(identity: Identity) -> Json:
    if identity.reference is not None:
        return {"subject": {"reference": identity.reference}}
    if identity.record_number is None or identity.assigner is None:
        return {}
    is_uri = identity.assigner.startswith(("urn:", "http://", "https://")) and " " not in identity.assigner
    by_whom = {"system": identity.assigner} if is_uri else {"assigner": {"display": identity.assigner}}
    return {"subject": {"type": "Patient", "identifier": {**by_whom, "value": identity.record_number}}}


def _identifier(client_reference: str) -> Json:
    return {"system": "urn:ecg-ka:client-reference", "value": client_reference}


def _effective(acquired_at: str | None) -> Json:
    """A FHIR time of day has a zone: of a file that states none, the day alone is a FHIR date."""
    if acquired_at is None:
        return {}
    has_zone = datetime.fromisoformat(acquired_at).tzinfo is not None
    return {"effectiveDateTime": acquired_at if has_zone else acquired_at[:10]}


def _time_note(acquired_at: str | None) -> tuple[str, ...]:
    if acquired_at is None or datetime.fromisoformat(acquired_at).tzinfo is not None:
        return ()
    return (f"The ECG file gives the local time {acquired_at} and no time zone.",)


def _conclusion(e: Estimate) -> str:
    """The one line that most viewers show."""
    value, i = estimate_value(e), e.interval
    said = "withheld" if value is None else f"{value.value} mmol/L"
    if i is not None:
        said += f", {i.percent} interval {i.lower:.2f} to {i.upper:.2f}"
    sentences = [f"Potassium estimated from an ECG: {said}."]
    if e.category is not None and e.category is not Category.NO_ALARM:
        sentences.append(e.category.sentence)
    if Flag.DEMO_MODEL in e.flags:
        sentences.append(Flag.DEMO_MODEL.sentence)
    return " ".join((*sentences, e.disclaimer))


def _value(quantity: Quantity) -> Json:
    bound = {} if quantity.comparator is None else {"comparator": quantity.comparator}
    unit = {"unit": quantity.unit, "system": _UCUM, "code": quantity.unit}
    return {"valueQuantity": {"value": quantity.value, **bound, **unit}}


def _absent(reasons: tuple[str, ...]) -> Json:
    text = "; ".join(map(plain, reasons))
    return {"dataAbsentReason": _concept(_ABSENT, "not-performed", "Not Performed") | ({"text": text} if text else {})}


def _component(finding: Finding) -> Json:
    code = _concept(CODE_SYSTEM, finding.code, finding.display)
    match finding:
        case Quantity():
            return {"code": code, **_value(finding)}
        case Concept():
            said = {"coding": [{"system": CODE_SYSTEM, "code": finding.value}], "text": finding.text}
            return {"code": code, "valueCodeableConcept": said}


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}
