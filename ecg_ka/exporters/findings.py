"""What an estimate says, as coded findings: one vocabulary for FHIR components, HL7 v2 segments and SR items.

The codes are this project's own. None of them is a laboratory code, so that no trend and no drug rule takes an
estimate for a measurement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from ecg_ka.estimate import Estimate, Interval

CODE_SYSTEM = "urn:ecg-ka:codes"
"""The system of every code here, for languages that name it by URI."""

SCHEME = "99ECGKA"
"""The same for DICOM and HL7 v2, where local schemes begin with 99."""

ESTIMATE_CODE = "ecg-estimated-potassium"
ESTIMATE_TEXT = "Potassium, estimated from ECG (not a laboratory measurement)"
MMOL_L = "mmol/L"

_SHOWN = frozenset(
    ("potassium_mmol_l", "median_mmol_l", "interval", "interval_label_conditional", "probabilities", "category")
) | frozenset(("bands", "severe_bands", "region", "novelty", "flags", "abstained", "abstain_reasons", "quality"))
_ELSEWHERE = frozenset(("ecg", "model", "timing_ms", "disclaimer", "distribution"))
"""The distribution is a series of 50 numbers: its ends, told as numbers, would read like bounds of potassium."""
_UNITS = {"mmol_l": MMOL_L, "mv": "mV", "ms": "ms", "s": "s", "hz": "Hz", "bpm": "/min"}
_LEAST_P = Decimal("0.001")
_NO_TEXT = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number with a UCUM unit; ``comparator`` ``"<"`` or ``">"`` says that it is a bound."""

    code: str
    display: str
    value: Decimal
    unit: str
    comparator: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One of a few words, with the sentence or word that people read."""

    code: str
    display: str
    value: str
    text: str


Finding = Quantity | Concept


def estimate_value(estimate: Estimate) -> Quantity | None:
    """The estimate itself; None when it is withheld."""
    if estimate.potassium_mmol_l is None:
        return None
    return _mmol(ESTIMATE_CODE, ESTIMATE_TEXT, estimate.potassium_mmol_l)


def findings(estimate: Estimate) -> tuple[Finding, ...]:
    """All else that the answer says and that holds for it; what is None has no finding.

    A field of the answer that this module does not know is told by its own name, so that nothing is left out.
    """
    return (*_calibrated(estimate), *_trust(estimate), *_others(estimate))


def plain(text: str) -> str:
    """Text in one line without control characters, as every language here takes it."""
    printable = "".join(c for c in _NO_TEXT.sub(" ", text) if c.isprintable())
    return printable.encode("utf-8", "ignore").decode().strip()


def worded(text: str) -> str:
    """The same for a place that may not be empty."""
    return plain(text) or "unknown"


def _calibrated(e: Estimate) -> Iterator[Finding]:
    if e.median_mmol_l is not None:
        yield _mmol("calibrated-median", "Median of the calibrated distribution", e.median_mmol_l)
    yield from _interval("interval", e.interval)
    yield from _interval("label-conditional-interval", e.interval_label_conditional)
    for p in e.probabilities or ():
        code = f"probability-{'ge' if p.comparator == '>=' else 'lt'}-{p.threshold_mmol_l:.1f}"
        yield _share(code, f"Calibrated probability of K {p.comparator} {p.threshold_mmol_l:.1f} mmol/L", p.p)
    if e.category is not None:
        yield Concept(code="category", display="Category", value=str(e.category), text=e.category.sentence)
    for band in e.bands or ():
        yield Concept(code="band", display="Band that may hold potassium", value=str(band), text=band.words)
    for severe in e.severe_bands or ():
        name = "Severe band that may hold potassium"
        yield Concept(code="severe-band", display=name, value=str(severe), text=severe.words)


def _trust(e: Estimate) -> Iterator[Finding]:
    if e.region is not None:
        text = f"{e.region.name}-shot, {e.region.n_train_near} training ECGs within 0.1 mmol/L"
        yield Concept(code="region", display="Training data near the estimate", value=e.region.name, text=text)
        yield _share("few-shot-share", "Share of the distribution in few-shot regions", e.region.few_shot_share)
    if e.novelty is not None:
        far = Decimal(f"{e.novelty.distance:.2f}")
        name = "Distance from the training ECGs; of those 95 % are nearer than 1"
        yield Quantity(code="novelty.distance", display=name, value=far, unit="1")
        name = "Share of ECGs like the calibration ECGs that are at least as far away"
        yield _share("novelty.p-value", name, e.novelty.p_value)
    yield Concept(code="signal-quality", display="Signal quality", value=e.quality.grade, text=e.quality.grade)
    for flag in e.flags:
        yield Concept(code="flag", display="Flag", value=str(flag), text=flag.sentence)


def _interval(code: str, interval: Interval | None) -> Iterator[Quantity]:
    if interval is None:
        return
    name = f"{interval.percent} interval ({interval.method.replace('_', '-')})"
    yield _mmol(f"{code}-lower", f"Lower bound of the {name}", interval.lower)
    yield _mmol(f"{code}-upper", f"Upper bound of the {name}", interval.upper)


def _others(estimate: Estimate) -> Iterator[Finding]:
    known = _SHOWN | _ELSEWHERE
    values = estimate.to_dict()
    for field in fields(estimate):
        if field.name not in known:
            yield from _named(field.name, values[field.name])


def _named(name: str, value: Any) -> Iterator[Finding]:
    """Numbers and words below a field, each under its path; lists are series, and no findings."""
    code, display = name.replace("_", "-"), name.replace("_", " ").replace(".", ", ")
    match value:
        case bool() | str():
            yield Concept(code=code, display=display, value=worded(str(value).lower()), text=worded(str(value)))
        case int() | float():
            unit = next((ucum for ending, ucum in _UNITS.items() if name.endswith(f"_{ending}")), "1")
            yield Quantity(code=code, display=display, value=Decimal(format(Decimal(f"{value:.4g}"), "f")), unit=unit)
        case Mapping():
            for key, item in value.items():
                yield from _named(f"{name}.{key}", item)


def _mmol(code: str, display: str, value: float) -> Quantity:
    return Quantity(code=code, display=display, value=Decimal(f"{value:.2f}"), unit=MMOL_L)


def _share(code: str, display: str, p: float) -> Quantity:
    """A probability; never 0.000 or 1.000, which would read as an exclusion or a certainty."""
    bounded = min(max(Decimal(f"{p:.3f}"), _LEAST_P), 1 - _LEAST_P)
    comparator = None if bounded == Decimal(f"{p:.3f}") else "<" if bounded == _LEAST_P else ">"
    return Quantity(code=code, display=display, value=bounded, unit="1", comparator=comparator)
