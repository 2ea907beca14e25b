"""Every language from one answer: what is refused, what is said, and the page as PDF."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from pypdf import PdfReader
from pypdf.generic import ContentStream

import ecg_ka
from ecg_ka.errors import DemoExport, ExportError
from ecg_ka.estimate import Estimate
from ecg_ka.exporters.caption import estimate_page
from ecg_ka.exporters.findings import Concept, Quantity, findings
from ecg_ka.exporters.outputs import Answered, Output, exported
from ecg_ka.exporters.page import RESEARCH_NOTICE, page_svg
from ecg_ka.exporters.page_pdf import page_pdf
from ecg_ka.exporters.text import estimates_text
from ecg_ka.record import EcgRecord
from tests.ecg_ka.answers import NOW, clinical, demo, hostile, saying, withheld
from tests.ecg_ka.ecgs import csv_bytes, ecg
from tests.ecg_ka.test_page import CAPTION, ramp

RECORDS = (Output.FHIR, Output.DICOM_SR, Output.HL7V2)


def answered(estimate: Estimate, **changes: Any) -> Answered:
    record = ecg(1, 6.8)
    about: dict[str, Any] = {"estimate": estimate, "record": record, "source": csv_bytes(record), "issued": NOW}
    return Answered(**{**about, **changes})


@pytest.mark.parametrize("output", RECORDS)
def test_a_demonstration_stays_out_of_records(output: Output) -> None:
    with pytest.raises(DemoExport, match="simulated"):
        exported(answered(demo()), output)


@pytest.mark.parametrize("output", [Output.JSON, Output.SVG, Output.PDF])
def test_a_demonstration_is_shown_and_says_what_it_is(output: Output) -> None:
    data = exported(answered(demo()), output)
    text = (
        "".join(page.extract_text() for page in PdfReader(BytesIO(data)).pages) if output is Output.PDF else str(data)
    )
    assert "DEMO" in text


def test_an_sr_needs_a_dicom_ecg() -> None:
    plain = replace(clinical(), ecg=replace(clinical().ecg, format="CSV"))
    with pytest.raises(ExportError, match="CSV"):
        exported(answered(plain), Output.DICOM_SR)


@pytest.mark.parametrize("output", [Output.JSON, Output.SVG, Output.PDF, Output.DICOM_SR])
def test_an_identity_that_would_be_lost_is_refused(output: Output) -> None:
    with pytest.raises(ExportError, match="identity"):
        exported(answered(clinical(), identity=ecg_ka.Identity.of("Patient/1", None)), output)


def test_json_is_the_answer() -> None:
    assert json.loads(exported(answered(demo()), Output.JSON)) == demo().to_dict()


def test_no_output_claims_or_advises_what_none_may() -> None:
    for estimate in (clinical(), withheld()):
        for output in (Output.FHIR, Output.HL7V2, Output.JSON):
            text = exported(answered(estimate, demo_allowed=True), output).decode().lower()
            assert not re.findall(r"\bnormal\b|ruled? out|\bexcluded?\b|\btreat", text)


def conclusion(estimate: ecg_ka.Estimate) -> str:
    bundle = json.loads(exported(answered(estimate, demo_allowed=True), Output.FHIR))
    (report,) = (e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DiagnosticReport")
    return str(report["conclusion"])


def test_the_line_that_an_inbox_shows_has_the_interval_the_alarm_and_what_stands_behind_them() -> None:
    told = conclusion(demo())
    interval = demo().interval
    assert interval is not None
    assert f"{demo().potassium_mmol_l:.2f} mmol/L, 90% interval {interval.lower:.2f} to {interval.upper:.2f}." in told
    assert demo().category is ecg_ka.Category.ALARM_5_5_AND_ABOVE
    assert ecg_ka.Category.ALARM_5_5_AND_ABOVE.sentence in told
    assert ecg_ka.Flag.DEMO_MODEL.sentence in told
    assert ecg_ka.Flag.DEMO_MODEL.sentence not in conclusion(clinical())
    assert "withheld. " in conclusion(withheld())
    assert all(one.disclaimer in conclusion(one) for one in (demo(), clinical(), withheld()))


def test_no_output_rounds_the_level_of_an_interval_up() -> None:
    interval = demo().interval
    assert interval is not None
    finer = replace(demo(), interval=replace(interval, level=0.975))
    told = {finding.code: finding.display for finding in findings(finer)}
    assert "97.5% interval" in conclusion(finer)
    assert told["interval-lower"] == "Lower bound of the 97.5% interval (marginal)"
    assert "97.5% interval" in estimate_page(ecg(1), finer)
    assert "(97.5%)" in estimates_text([("a", finer)])


def test_a_field_that_is_new_to_the_answer_is_told() -> None:
    told = {finding.code: finding for finding in findings(replace(clinical(), epistemic_sd_mmol_l=2.5))}
    assert isinstance(told["epistemic-sd-mmol-l"], Quantity)
    assert str(told["epistemic-sd-mmol-l"].value) == "2.5"
    assert {"novelty.distance", "novelty.p-value"} <= set(told)
    assert not [code for code in told if "distribution" in code]  # its ends would read like bounds of potassium
    assert all(finding.value for finding in told.values() if isinstance(finding, Concept))


def pdf(svg: str) -> Any:
    (page,) = PdfReader(BytesIO(page_pdf(svg)), strict=True).pages
    return page


def operations(page: Any) -> list[tuple[list[Any], bytes]]:
    return ContentStream(page["/Contents"], page.pdf).operations


def test_the_pdf_page_is_the_svg_page_to_scale() -> None:
    page = pdf(estimate_page(ecg(1, 6.8), demo()))
    assert float(page.mediabox.width) == pytest.approx(297 / 25.4 * 72, abs=0.01)
    text = " ".join(page.extract_text().split())
    assert RESEARCH_NOTICE in text
    assert f"K {demo().potassium_mmol_l:.1f} mmol/L" in text
    assert set(ecg_ka.LEADS) <= {str(operands[0]) for operands, operator in operations(page) if operator == b"Tj"}


def test_a_second_is_25_mm_in_the_pdf_too() -> None:
    done = operations(pdf(page_svg(ramp(), CAPTION)))
    scale = float(next(operands[0] for operands, operator in done if operator == b"cm"))
    assert scale * 25.4 == pytest.approx(72, abs=1e-3)
    line = max(
        ([operands for operands, operator in block if operator in (b"m", b"l")] for block in blocks(done)), key=len
    )
    top = min(float(y) for _, y in line)
    peaks = [float(x) for x, y in line if float(y) == top]
    assert [b - a for a, b in pairwise(peaks)] == pytest.approx([25.0] * 9, abs=0.02)


def blocks(done: list[tuple[list[Any], bytes]]) -> list[list[tuple[list[Any], bytes]]]:
    """The operations between q and Q."""
    found: list[list[tuple[list[Any], bytes]]] = []
    for operands, operator in done:
        if operator == b"q":
            found.append([])
        elif found:
            found[-1].append((operands, operator))
    return found


@settings(max_examples=15, deadline=None)
@given(hostile)
def test_hostile_text_draws_nothing_in_a_pdf(text: str) -> None:
    record = ramp(leads=("I",), duration_s=5.0, device=text)
    svg = page_svg(record, replace(CAPTION, title=text))
    done = operations(pdf(svg))
    texts = re.findall(r"<text.*?</text>", svg, re.DOTALL)
    halos = sum("paint-order" in element for element in texts)
    spans = sum("<tspan" in element for element in texts)  # each of them has a halo
    assert sum(operator == b"Tj" for _, operator in done) == len(texts) + halos + 2 * spans
    assert halos == spans
    assert {operator for _, operator in done} <= set(
        b"cm q Q re W n rg RG w j d B f S m l BT ET BMC EMC Tr Tc Tf Tm Tj".split()
    )


def test_the_same_page_gives_the_same_bytes() -> None:
    svg = page_svg(ramp(), CAPTION)
    assert page_pdf(svg) == page_pdf(svg)


def test_other_records_than_the_first_lead_are_drawn() -> None:
    empty: EcgRecord = ramp(leads=("II",))
    assert "not in the file" in pdf(page_svg(empty, CAPTION)).extract_text()


def test_withheld_and_hostile_answers_have_every_language() -> None:
    for estimate in (withheld(), saying("x")):
        for output in (Output.JSON, Output.FHIR, Output.HL7V2, Output.SVG, Output.PDF):
            assert exported(answered(estimate, demo_allowed=True), output)
