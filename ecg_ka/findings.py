"""What is found about a recording before the network sees it, and which of it is grave enough to withhold the value."""

from __future__ import annotations

from ecg_ka.flags import Flag
from ecg_ka.policy import Finding
from ecg_ka.preprocess import SignalSpec
from ecg_ka.quality import Grade, SignalQuality
from ecg_ka.record import EcgRecord

ADULT_YEARS = 18.0
OLDEST_YEARS = 120.0

_SAME_AGE_YEARS = 1.0  # files round to whole years, and a caller may count to today

_FEW_WRONG = 1  # of III, aVR, aVL and aVF: from two on I or II itself is in doubt, which the model reads


def recording_findings(
    record: EcgRecord, quality: SignalQuality, spec: SignalSpec, age_years: float | None
) -> tuple[Finding, ...]:
    """Of the signal and of the patient's age, by the file and by the caller (``age_years``); flags that need no reason
    are left to the stages that raise them."""
    found = (
        *_leads(record, quality, spec),
        *_facts(quality),
        *_age(record.source.age_years, age_years),
    )
    return tuple(Finding(flag=flag, reason=reason) for flag, reason in found)


def novelty_finding(p_value: float, novelty_p: float) -> tuple[Finding, ...]:
    """Of the novelty."""
    if p_value > novelty_p:
        return ()
    return (
        Finding(
            flag=Flag.OUT_OF_DISTRIBUTION,
            reason="the ECG is unlike those that the model was trained on; its estimate cannot be trusted",
        ),
    )


def _leads(record: EcgRecord, quality: SignalQuality, spec: SignalSpec) -> list[tuple[Flag, str]]:
    used = [lead for lead in quality.leads if lead.lead in spec.leads]
    dead = [lead.lead for lead in used if lead.flat or lead.disconnected]
    is_off = any(lead.disconnected and not lead.flat for lead in used)
    alive = {lead for lead in spec.leads if lead in record.leads} - set(dead)
    n_chest = sum(lead.startswith("V") for lead in alive)
    wrong = [lead.lead for lead in quality.leads if lead.inconsistent]
    found = []
    if quality.grade is Grade.UNUSABLE:
        found.append((Flag.LOW_QUALITY, "the signal quality does not allow an estimate; repeat the ECG"))
    if is_off or n_chest < spec.min_chest_leads or not alive.issuperset(spec.required_leads):
        found.append((Flag.LOW_QUALITY, f"no heartbeat in lead {', '.join(dead)}; check the electrodes"))
    if len(wrong) > _FEW_WRONG and not {"I", "II"} & set(dead):
        found.append((Flag.INCONSISTENT_LEADS, f"I and II contradict {', '.join(wrong)}; check the names of the leads"))
    if Flag.LEAD_ORDER_IMPLAUSIBLE in quality.flags:
        order = "leads seem to stand under each other's names; check cables and the order of the leads"
        found.append((Flag.LEAD_ORDER_IMPLAUSIBLE, order))
    return found


def _facts(quality: SignalQuality) -> list[tuple[Flag, str]]:
    reasons = {
        Flag.IMPLAUSIBLE_AMPLITUDE: "the amplitude is implausible for a surface ECG; check gain and unit of the file",
        Flag.IMPLAUSIBLE_HEART_RATE: "the heart rate is implausible; check the sampling rate of the file",
    }
    return [(flag, reason) for flag, reason in reasons.items() if flag in quality.flags]


def age_notes(of_file: float | None, of_caller: float | None) -> tuple[str, ...]:
    """What to say where file and caller contradict each other about the patient's age."""
    if not _contradictory(of_file, of_caller):
        return ()
    return (
        f"the file says that the patient is {of_file:g} years old, the caller says {of_caller:g}: whose ECG is it?",
    )


def _contradictory(of_file: float | None, of_caller: float | None) -> bool:
    return of_file is not None and of_caller is not None and abs(of_file - of_caller) > _SAME_AGE_YEARS


def _age(of_file: float | None, of_caller: float | None) -> list[tuple[Flag, str | None]]:
    """Under 18 by either is grave; an unknown age, or a contradiction, is a warning."""
    known = (("the file", of_file), ("the caller", of_caller))
    minor = [f"{age:g} years old by {who}" for who, age in known if age is not None and age < ADULT_YEARS]
    if minor:
        return [(Flag.AGE_OUT_OF_RANGE, f"the patient is {' and '.join(minor)}; the model is meant for adults")]
    if _contradictory(of_file, of_caller) or (of_file is None and of_caller is None):
        return [(Flag.AGE_OUT_OF_RANGE, None)]
    return []
