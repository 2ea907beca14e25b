"""An estimate as an HL7 v2.5.1 result message, ORU^R01.

Structure and tables: HL7 v2.5.1 chapters 2 (control, escape sequences), 3 (PID) and 7 (OBR, OBX, ORU).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ecg_ka.estimate import Estimate
from ecg_ka.exporters.content_id import content_id
from ecg_ka.exporters.findings import (
    ESTIMATE_CODE,
    ESTIMATE_TEXT,
    SCHEME,
    Concept,
    Finding,
    Quantity,
    estimate_value,
    findings,
    plain,
)
from ecg_ka.exporters.identity import Identity
from ecg_ka.flags import Flag

_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
_SENDER = "ecg-ka"
_PRELIMINARY, _NO_RESULT = "P", "X"
_LONGEST_ST = 199
_LONGEST_NAMESPACE = 20


def estimate_hl7v2(estimate: Estimate, *, identity: Identity, issued: datetime) -> bytes:
    """One ORU^R01 in UTF-8, segments ended by carriage returns: the estimate, then one OBX a finding.

    A withheld estimate is an OBX without value and with status X. Of a demonstration the message is a test (MSH-11 T).
    The group of the patient is left out when only a FHIR reference, or nothing, is known: a PID needs a number.
    """
    value = estimate_value(estimate)
    status = _NO_RESULT if value is None else _PRELIMINARY
    at = _acquired(estimate)
    told = enumerate((value, *findings(estimate)), start=1)
    segments = [
        _msh(estimate, identity, issued),
        *_pid(identity),
        _obr(estimate, identity, issued, status),
        *_notes((estimate.disclaimer, *(f"Withheld: {reason}." for reason in estimate.abstain_reasons))),
        *(_obx(number, finding, at, estimate) for number, finding in told),
    ]
    return "".join(f"{segment}\r" for segment in segments).encode()


def escaped(text: str, longest: int = _LONGEST_ST) -> str:
    """Text in one line with every delimiter escaped; the length counts before that."""
    return "".join(_ESCAPES.get(character, character) for character in plain(text)[:longest])


def _msh(estimate: Estimate, identity: Identity, issued: datetime) -> str:
    control = content_id("HL7 v2 message", estimate, identity, issued).hex[:20]  # MSH-10 holds 20 characters
    processing = "T" if Flag.DEMO_MODEL in estimate.flags else "P"
    fields = [_SENDER, "", "", "", _moment(issued), "", "ORU^R01^ORU_R01", control, processing, "2.5.1"]
    return "|".join(["MSH", "^~\\&", *fields, "", "", "", "", "", "UNICODE UTF-8"])


def _pid(identity: Identity) -> list[str]:
    if identity.record_number is None or identity.assigner is None:
        return []
    number = f"{escaped(identity.record_number)}^^^{_authority(identity.assigner)}^MR"
    return ["|".join(["PID", "1", "", number, "", "^^^^^^U"])]  # the name is required, and unspecified here


def _authority(assigner: str) -> str:
    """Who gave a number: a short name, or an identifier of a stated kind (HD; table 0301: ISO, URI, L for local)."""
    oid = assigner.removeprefix("urn:oid:")
    if oid != assigner:
        return f"&{escaped(oid)}&ISO"
    if assigner.startswith(("urn:", "http://", "https://")):
        return f"&{escaped(assigner)}&URI"
    return escaped(assigner) if len(assigner) <= _LONGEST_NAMESPACE else f"&{escaped(assigner)}&L"


def _obr(estimate: Estimate, identity: Identity, issued: datetime, status: str) -> str:
    """OBR-2 placer, 3 filler, 4 service, 7 ECG time, 22 report time, 24 section (electrocardiac), 25 status."""
    fields = [""] * 26
    fields[0:2] = ["OBR", "1"]
    fields[2] = escaped(identity.client_reference or "")
    fields[3] = f"{content_id('HL7 v2 order', estimate, identity)}^{_SENDER}"
    fields[4] = _code(ESTIMATE_CODE, ESTIMATE_TEXT)
    fields[7] = _acquired(estimate)
    fields[22], fields[24], fields[25] = _moment(issued), "EC", status
    return "|".join(fields)


def _notes(sentences: Iterable[str]) -> list[str]:
    return [f"NTE|{number}|L|{escaped(text, 2000)}" for number, text in enumerate(sentences, start=1)]


def _obx(number: int, finding: Finding | None, at: str, estimate: Estimate) -> str:
    """OBX-2 type, 3 code, 4 running number, 5 value, 6 unit, 11 status, 14 ECG time, 18 model."""
    fields = [""] * 19
    fields[0:2] = ["OBX", str(number)]
    fields[3] = _code(finding.code, finding.display) if finding else _code(ESTIMATE_CODE, ESTIMATE_TEXT)
    fields[4] = str(number)
    fields[11], fields[14] = _PRELIMINARY if finding else _NO_RESULT, at
    model = estimate.model
    fields[18] = f"{escaped(f'{model.sha256[:12]} {model.name} {model.version}')}^{_SENDER}"
    match finding:
        case Quantity(comparator=None):
            fields[2], fields[5] = "NM", str(finding.value)
        case Quantity():
            fields[2], fields[5] = "SN", f"{finding.comparator}^{finding.value}"
        case Concept():
            fields[2], fields[5] = "CWE", _code(finding.value, finding.text)
    if isinstance(finding, Quantity):
        fields[6] = f"{escaped(finding.unit)}^{escaped(finding.unit)}^UCUM"
    return "|".join(fields)


def _code(code: str, text: str) -> str:
    return f"{escaped(code)}^{escaped(text)}^{SCHEME}"


def _acquired(estimate: Estimate) -> str:
    """The ECG's time as its file states it: without a zone where the file has none."""
    return "" if estimate.ecg.acquired_at is None else _moment(datetime.fromisoformat(estimate.ecg.acquired_at))


def _moment(time: datetime) -> str:
    return f"{time:%Y%m%d%H%M%S}{f'{time:%z}'[:5]}"
