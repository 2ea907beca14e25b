"""Estimates for the tests of outputs: real ones, and real ones whose texts and alarms are replaced."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from hypothesis import strategies as st

from ecg_ka.estimate import Category, Estimate
from ecg_ka.estimator import Estimator
from ecg_ka.flags import Flag
from ecg_ka.record import EcgRecord
from tests.ecg_ka.ecgs import ecg

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)

PATIENT_TEXT = "Muster^Erika|4711~x&y\\F\\<b>(1)</b>\r\nOBX|9|NM\x00\x1b\ufffe\N{RIGHT-TO-LEFT OVERRIDE}"
"""What a file may call a device, with the delimiters of every language at once."""

hostile = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="|^~\\&<>()[]{}*_`#$\"'\r\n\t\x00\x0b\x1c\x1ba1 \ufeff\u2028", max_size=60),
)


@cache
def _estimator() -> Estimator:
    return Estimator.load()


@cache
def demo() -> Estimate:
    """The answer of the demonstration for a simulated ECG."""
    return replace(_estimator().estimate(ecg(1, 6.8)), timing_ms=1.0)


def clinical(acquired_at: str | None = "2026-05-06T06:00:00+00:00", value: float = 6.1) -> Estimate:
    """The same, as a bundle that is no demonstration would give it, with an alarm."""
    e = demo()
    flags = tuple(flag for flag in e.flags if flag is not Flag.DEMO_MODEL)
    about = replace(e.ecg, acquired_at=acquired_at, format="DICOM", device="ELI 250")
    return replace(e, flags=flags, ecg=about, category=Category.ALARM_5_5_AND_ABOVE, potassium_mmol_l=value)


def withheld() -> Estimate:
    """The answer for an ECG of an impossible amplitude."""
    record = ecg(1, 6.8)
    loud = EcgRecord(signal_mv=record.signal_mv * 100, leads=record.leads, fs_hz=record.fs_hz, source=record.source)
    return _estimator().estimate(loud)


def saying(text: str) -> Estimate:
    """An answer in which a file, a bundle and a reason say ``text``."""
    e = clinical()
    about = replace(e.ecg, device=text, format=text or "x", notes=(text,))
    model = replace(e.model, name=text, version=text, trained_on=text, intended_use=text)
    return replace(e, ecg=about, model=model, abstain_reasons=(text,))
