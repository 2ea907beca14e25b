"""A record orders, names and derives leads, and refuses what is not an ECG."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_ka.errors import (
    ImpossibleSamples,
    InvalidSamplingRate,
    MalformedHeader,
    MissingLeads,
    NonFiniteSamples,
    NoSamples,
)
from ecg_ka.record import INDEPENDENT_LEADS, LEADS, MOST_MV, EcgRecord, Source, canonical_lead

SOURCE = Source(format="test", sha256="0" * 64, units_in="mV")


def record(names: Any, n: int = 100, fs_hz: float = 500.0) -> EcgRecord:
    rng = np.random.default_rng(0)
    return EcgRecord.from_leads(rng.normal(size=(len(names), n)), names, fs_hz=fs_hz, source=SOURCE)


@given(st.permutations(LEADS))
def test_leads_come_out_in_standard_order_whatever_the_order_in_the_file(names: list[str]) -> None:
    rng = np.random.default_rng(1)
    rows = {lead: rng.normal(size=20) for lead in LEADS}
    made = EcgRecord.from_leads(np.stack([rows[n] for n in names]), names, fs_hz=500, source=SOURCE)
    assert made.leads == LEADS
    np.testing.assert_allclose(made.signal_mv, np.stack([rows[n] for n in LEADS]), rtol=1e-6)


def test_missing_limb_leads_follow_from_i_and_ii() -> None:
    made = record(INDEPENDENT_LEADS)
    i, ii = made.lead("I"), made.lead("II")
    expected = {"III": ii - i, "aVR": -(i + ii) / 2, "aVL": i - ii / 2, "aVF": ii - i / 2}
    assert made.leads == LEADS
    assert made.leads_derived == tuple(expected)
    for lead, row in expected.items():
        np.testing.assert_allclose(made.lead(lead), row, atol=1e-6)


def test_a_stored_augmented_lead_is_kept_as_it_is() -> None:
    made = record(("I", "II", "aVR"))
    assert made.leads_derived == ("III", "aVL", "aVF")
    assert not np.allclose(made.lead("aVR"), -(made.lead("I") + made.lead("II")) / 2)


def test_nothing_is_derived_without_both_limb_leads_and_missing_ones_are_named() -> None:
    made = record(("II", "V1"))
    assert made.leads == ("II", "V1")
    assert made.leads_missing == tuple(lead for lead in LEADS if lead not in ("II", "V1"))
    with pytest.raises(MissingLeads, match="'I'"):
        made.lead("I")


@pytest.mark.parametrize(
    ("spelling", "lead"),
    [
        ("AVR", "aVR"),
        ("avl", "aVL"),
        ("Lead II", "II"),
        ("MDC_ECG_LEAD_V1", "V1"),
        (" v6 ", "V6"),
        ("lead-I", "I"),
        ("C4", "V4"),
        ("DI", "I"),
        ("DIII", "III"),
    ],
)
def test_spellings_of_one_lead(spelling: str, lead: str) -> None:
    assert canonical_lead(spelling) == lead


@pytest.mark.parametrize(
    "name", ["MLII", "V7", "vx", "ECG", "", "IIII", "V", "Pleth", "-aVR", "Lead -aVR", "aVR-", "I-II", "I_I"]
)
def test_other_channels_are_not_taken_for_standard_leads(name: str) -> None:
    assert canonical_lead(name) is None


def test_other_channels_are_left_out_with_a_note() -> None:
    made = record((*LEADS, "vx"))
    assert made.leads == LEADS
    assert "vx" in made.source.notes[0]


@pytest.mark.parametrize("fs_hz", [0.0, -500.0, float("nan"), float("inf"), 1e9])
def test_an_impossible_sampling_rate_is_refused(fs_hz: float) -> None:
    with pytest.raises(InvalidSamplingRate):
        record(LEADS, fs_hz=fs_hz)


def test_no_samples_nan_twice_and_no_lead_are_refused() -> None:
    with pytest.raises(NoSamples):
        record(LEADS, n=0)
    with pytest.raises(MalformedHeader, match="twice"):
        record(("II", "lead ii"))
    with pytest.raises(MissingLeads, match="MLII"):
        record(("MLII",))
    signal = np.zeros((2, 10))
    signal[1, 3] = np.nan
    with pytest.raises(NonFiniteSamples, match="II"):
        EcgRecord.from_leads(signal, ("I", "II"), fs_hz=500, source=SOURCE)


@pytest.mark.parametrize("mv", [1.1e10, -1.1e10, 3e38])
def test_samples_that_no_electrode_gives_are_refused_with_their_size(mv: float) -> None:
    signal = np.zeros((2, 10))
    signal[1, 3] = MOST_MV
    assert EcgRecord.from_leads(signal, ("V1", "V2"), fs_hz=500, source=SOURCE).signal_mv.max() == 1e10
    signal[1, 3] = mv
    with pytest.raises(ImpossibleSamples, match=re.escape(f"V2 ({abs(mv):.3g} mV)")):
        EcgRecord.from_leads(signal, ("V1", "V2"), fs_hz=500, source=SOURCE)


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        record(LEADS).signal_mv[0, 0] = 1.0


def test_crop_keeps_names_and_provenance() -> None:
    made = record(LEADS)
    cut = made.crop(10, 60)
    np.testing.assert_array_equal(cut.signal_mv, made.signal_mv[:, 10:60])
    assert (cut.leads, cut.fs_hz, cut.source) == (made.leads, made.fs_hz, made.source)
