"""The 12-lead page: to scale, safe to show, and honest about what is missing."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg_ka.estimate import BANDS_SENTENCE
from ecg_ka.estimator import Estimator
from ecg_ka.exporters.caption import estimate_caption
from ecg_ka.exporters.page import RESEARCH_NOTICE, PageCaption, page_svg
from ecg_ka.flags import Flag
from ecg_ka.record import LEADS, EcgRecord, Source
from tests.ecg_ka.ecgs import ecg

SVG = "{http://www.w3.org/2000/svg}"
CAPTION = PageCaption(title="K 5.6 mmol/L, 95 % interval 4.7-6.5", lines=("Region: few-shot.",), warnings=())
Points = NDArray[np.float64]


def ramp(leads: tuple[str, ...] = LEADS, fs_hz: float = 500.0, duration_s: float = 10.0, **source: object) -> EcgRecord:
    """A record with a spike of 1 mV every second, so that heights and times can be measured on the page."""
    row = np.zeros(round(fs_hz * duration_s), dtype=np.float32)
    row[round(fs_hz / 2) :: round(fs_hz)] = 1.0
    about = Source(format="WFDB", sha256="ab" * 32, units_in="mV", **source)  # type: ignore[arg-type]
    return EcgRecord(signal_mv=np.tile(row, (len(leads), 1)), leads=leads, fs_hz=fs_hz, source=about)


def root(record: EcgRecord, caption: PageCaption = CAPTION) -> ET.Element:
    return ET.fromstring(page_svg(record, caption).encode())


def words(page: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in page.iter(f"{SVG}text")]


def traces(page: ET.Element) -> list[Points]:
    """Points (n, 2) in mm of every trace, in the order of drawing; the last one is the rhythm strip."""
    return [np.array([p.split(",") for p in t.attrib["points"].split()], float) for t in page.iter(f"{SVG}polyline")]


def panels(page: ET.Element) -> list[dict[str, float]]:
    rects = [clip.find(f"{SVG}rect") for clip in page.iter(f"{SVG}clipPath")]
    return [
        {key: float(rect.attrib[key]) for key in ("x", "y", "width", "height")} for rect in rects if rect is not None
    ]


def scaled(record: EcgRecord, gain: float, offset_mv: float) -> EcgRecord:
    signal = (record.signal_mv * gain + offset_mv).astype(np.float32)
    return EcgRecord(signal_mv=signal, leads=record.leads, fs_hz=record.fs_hz, source=record.source)


def test_a_page_is_measured_in_millimetres() -> None:
    page = root(ramp())
    assert (page.attrib["width"], page.attrib["height"]) == ("297mm", "210mm")
    assert page.attrib["viewBox"] == "0 0 297 210"


@pytest.mark.parametrize("fs_hz", [100.0, 500.0, 8000.0])
def test_a_second_is_25_mm_and_a_millivolt_10_mm(fs_hz: float) -> None:
    strip = traces(root(ramp(fs_hz=fs_hz)))[-1]
    peaks = strip[strip[:, 1] == strip[:, 1].min(), 0]
    assert peaks.size == 10
    assert np.diff(peaks) == pytest.approx(np.full(9, 25.0), abs=0.02)
    assert np.ptp(strip[:, 1]) == pytest.approx(10.0, abs=0.02)
    assert peaks[0] - strip[0, 0] == pytest.approx(12.5, abs=0.02)


def test_grid_lines_stand_1_mm_and_5_mm_apart() -> None:
    lines = [p.attrib["d"] for p in root(ramp()).iter(f"{SVG}path") if p.attrib["d"].count("M") > 20]
    for path, step in zip(lines, (1.0, 5.0), strict=True):
        x = [float(at) for at in re.findall(r"M([\d.]+) [\d.]+v", path)]
        y = [float(at) for at in re.findall(r"M[\d.]+ ([\d.]+)h", path)]
        assert np.diff(x) == pytest.approx(np.full(len(x) - 1, step))
        assert np.diff(y) == pytest.approx(np.full(len(y) - 1, step))


def test_every_row_has_a_calibration_pulse_of_1_mv_and_200_ms() -> None:
    pulses = [p for p in root(ramp()).iter(f"{SVG}path") if "h2v-10h5v10h2" in p.attrib["d"]]
    assert len(pulses) == 4


def test_three_rows_of_four_leads_and_a_rhythm_strip() -> None:
    page = root(ramp())
    labels = [text for text in words(page) if text in LEADS]
    assert labels == ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]
    assert [panel["width"] for panel in panels(page)] == [62.5] * 12 + [250.0]


def test_columns_follow_each_other_in_time() -> None:
    record = ramp()
    rising = np.tile(np.linspace(0, 1, 5000, dtype=np.float32), (12, 1))
    page = root(EcgRecord(signal_mv=rising, leads=LEADS, fs_hz=500.0, source=record.source))
    strip = traces(page)[-1]
    for trace, panel in zip(traces(page)[:4], panels(page)[:4], strict=True):
        assert trace[0, 0] == pytest.approx(panel["x"], abs=0.01)
        assert np.ptp(trace[:, 1]) == pytest.approx(np.ptp(strip[:, 1]) / 4, abs=0.02)


@pytest.mark.parametrize("duration_s", [0.002, 1.0, 2.5, 6.0, 9.99, 35.0])
def test_any_duration_has_a_page_with_all_leads(duration_s: float) -> None:
    page = root(ramp(duration_s=duration_s))
    drawn = traces(page)
    assert len(drawn) == 13
    assert drawn[-1][-1, 0] - drawn[-1][0, 0] == pytest.approx(25 * min(duration_s, 10.0), abs=0.06)
    assert any("first 10 s" in text for text in words(page)) is (duration_s > 10)


def test_a_missing_lead_has_an_empty_panel_that_says_so() -> None:
    page = root(ramp(leads=("I", "V1", "V6")))
    assert len(traces(page)) == 3
    assert "V2: not in the file" in words(page)
    assert words(page).count("II: not in the file") == 2


def test_derived_leads_are_named_so() -> None:
    record = ramp(leads=("I", "II"))
    page = root(EcgRecord.from_leads(record.signal_mv, ("I", "II"), fs_hz=500.0, source=record.source))
    assert {"III (derived)", "aVR (derived)", "aVL (derived)", "aVF (derived)"} < set(words(page))


@settings(max_examples=25, deadline=None)
@given(gain=st.floats(-1e4, 1e4), offset_mv=st.floats(-1e3, 1e3))
def test_no_trace_is_drawn_outside_its_panel(gain: float, offset_mv: float) -> None:
    page = root(scaled(ramp(fs_hz=50.0), gain, offset_mv))
    lines = list(page.iter(f"{SVG}polyline"))
    for number, (line, trace, panel) in enumerate(zip(lines, traces(page), panels(page), strict=True)):
        assert line.attrib["clip-path"] == f"url(#panel-{number})"
        middle = float(np.median(trace[:, 1]))
        assert panel["y"] - 0.01 <= middle <= panel["y"] + panel["height"] + 0.01
        assert trace[:, 1].min() >= panel["y"] - 5.01
        assert trace[:, 1].max() <= panel["y"] + panel["height"] + 5.01


@pytest.mark.parametrize(("gain", "cut"), [(3.0, False), (-3.0, False), (9.0, True)])
def test_a_trace_is_cut_only_when_it_cannot_fit_and_says_so(gain: float, cut: bool) -> None:
    page = root(scaled(ramp(), gain, -7.0))
    inside = all(
        p["y"] <= t[:, 1].min() and t[:, 1].max() <= p["y"] + p["height"]
        for t, p in zip(traces(page), panels(page), strict=True)
    )
    assert inside is not cut
    assert ("II (cut off at the panel)" in words(page)) is cut


def test_a_large_page_stays_small_and_keeps_its_peaks() -> None:
    svg = page_svg(ramp(fs_hz=20_000.0), CAPTION)
    assert len(svg) < 600_000
    assert np.ptp(traces(ET.fromstring(svg))[-1][:, 1]) == pytest.approx(10.0, abs=0.02)


@pytest.mark.parametrize(("duration_s", "shown"), [(6.0, "6.0 s"), (10.0, "10.0 s"), (14.0, "the first 10 s")])
def test_the_foot_says_how_much_is_shown_and_not_that_it_is_all(duration_s: float, shown: str) -> None:
    """The record may be the part of a longer recording that the model looked at."""
    assert any(f"| {shown} are shown" in line for line in words(root(ramp(duration_s=duration_s))))


HOSTILE = "<script>alert(1)</script>\"'&]]>\x00\x1b\ud800"


def test_names_from_the_file_cannot_become_markup() -> None:
    caption = PageCaption(title=HOSTILE, lines=(HOSTILE,), warnings=(HOSTILE,))
    record = ramp(device=HOSTILE)
    page = root(record, caption)
    assert {element.tag.removeprefix(SVG) for element in page.iter()} <= {
        *("svg", "title", "desc", "rect", "path", "text", "tspan", "clipPath", "polyline")
    }
    assert "<script" not in page_svg(record, caption)
    assert any("<script>alert(1)</script>" in text for text in words(page))


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_gives_valid_xml(text: str) -> None:
    assert root(ramp(fs_hz=50.0, device=text), PageCaption(title=text, lines=(text,), warnings=(text,))).tag


def test_the_header_tells_what_is_known_and_what_is_not() -> None:
    known = root(ramp(device="CS-12", acquired_at=datetime(1984, 11, 9, 9, 17, 34), age_years=56.0))
    header = " ".join(words(known))
    assert all(fact in header for fact in ("1984-11-09 09:17:34", "CS-12", "56 years", "500 Hz", "25 mm/s", "10 mm/mV"))
    assert "Device: not in the file" in " ".join(words(root(ramp())))


def test_research_use_is_always_said_and_demo_in_every_wording() -> None:
    assert RESEARCH_NOTICE in words(root(ramp()))
    demo = PageCaption(title="K", lines=(), warnings=(f"DEMO_MODEL: {Flag.DEMO_MODEL.sentence}",))
    assert any(text.startswith("DEMO MODEL") for text in words(root(ramp(), demo)))
    assert not any(text.startswith("DEMO MODEL") for text in words(root(ramp())))


def test_long_captions_wrap_and_the_page_grows_without_overlap() -> None:
    sentences = tuple(flag.sentence for flag in Flag) * 3
    page = root(ramp(), PageCaption(title="K 5.6", lines=("word " * 200,), warnings=sentences))
    assert float(page.attrib["viewBox"].split()[3]) > 210
    assert max(len(text) for text in words(page)) < 200
    header = [t for t in page.iter(f"{SVG}text") if "Acquired" in "".join(t.itertext())]
    assert float(header[-1].attrib["y"]) < panels(page)[0]["y"]
    joined = " ".join(words(page))
    assert all(sentence in re.sub(r"\s+", " ", joined) for sentence in sentences)


def text_lines(page: ET.Element) -> list[tuple[str, float, float]]:
    """Text, left end and right end in mm of every line that states its width."""
    found = [t for t in page.iter(f"{SVG}text") if "textLength" in t.attrib]
    ends = [(float(t.attrib["x"]), float(t.attrib["x"]) + float(t.attrib["textLength"])) for t in found]
    return [("".join(t.itertext()), *end) for t, end in zip(found, ends, strict=True)]


def test_text_fills_the_width_of_the_grid_and_stays_inside() -> None:
    grid_right_mm = 286.0
    page = root(ramp(), PageCaption(title="K " * 100, lines=("word " * 200,), warnings=("flag " * 200,)))
    lines = text_lines(page)
    assert max(right for _, _, right in lines) <= grid_right_mm
    for letter in ("K", "word", "flag"):
        *full, _ = (right for text, _, right in lines if text.startswith(letter))
        assert full
        assert min(full) > 0.96 * grid_right_mm


@pytest.mark.parametrize("extra", ["", "x", "x" * 5, "x " * 10, "x" * 30])
def test_a_probability_is_never_parted(extra: str) -> None:
    answer = Estimator.load().estimate(ecg(1))
    caption = estimate_caption(answer)
    page = root(ramp(), PageCaption(title="", lines=(f"{extra} {caption.lines[0]}", *caption.lines[1:]), warnings=()))
    texts = [text for text, _, _ in text_lines(page)]
    parts = [part for text in texts for part in re.findall(r"P\(K (?:<|>=) \d\.\d\) (?:=|<) \d\.\d\d", text)]
    assert answer.probabilities is not None
    assert len(parts) == len(answer.probabilities) == sum(text.count("P(K") for text in texts)


def test_the_page_says_what_the_intervals_hold_and_what_bands_and_category_mean() -> None:
    answer = Estimator.load().estimate(ecg(1))
    text = " ".join(estimate_caption(answer).lines).replace("\N{NO-BREAK SPACE}", " ")
    marginal, by_label = answer.interval, answer.interval_label_conditional
    assert marginal is not None
    assert by_label is not None
    assert answer.category is not None
    assert f"holds {100 * (marginal.coverage_at_least_5_5 or 0):.0f} % of the calibration ECGs with K >= 5.5" in text
    assert f"label-conditional one, {by_label.lower:.1f}\N{EN DASH}{by_label.upper:.1f} mmol/L" in text
    assert ", ".join(band.words for band in answer.bands or ()) in text
    assert BANDS_SENTENCE in text
    assert f"{answer.category}: {answer.category.sentence}" in text


@pytest.mark.parametrize(("p", "shown"), [(0.004, "< 0.01"), (0.997, "> 0.99")])
def test_no_probability_on_the_page_reads_as_an_exclusion_or_a_certainty(p: float, shown: str) -> None:
    answer = Estimator.load().estimate(ecg(2, 5.5))
    extreme = replace(answer, probabilities=tuple(replace(q, p=p) for q in answer.probabilities or ()))
    line = estimate_caption(extreme).lines[0].replace("\N{NO-BREAK SPACE}", " ")
    assert line.count(shown) == len(extreme.probabilities or ())


def test_the_title_and_description_are_there_for_screen_readers() -> None:
    page = root(ramp(), PageCaption(title="K 5.6", lines=(), warnings=("Beware.",)))
    title, description = page.find(f"{SVG}title"), page.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert "K 5.6" in (title.text or "")
    assert "Beware." in (description.text or "")
    assert page.attrib["aria-labelledby"].split() == [title.attrib["id"], description.attrib["id"]]


@pytest.mark.shared
def test_real_records_have_a_page(shared_data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb

    for number in (1, 180, 190):
        header = wfdb.rdrecord(str(shared_data / "ptbxl" / "records500" / f"{number:05d}_hr"))
        source = Source(format="WFDB", sha256="ab" * 32, units_in="mV")
        record = EcgRecord.from_leads(header.p_signal.T, header.sig_name, fs_hz=500.0, source=source)
        svg = page_svg(record, CAPTION)
        assert len(svg) < 600_000
        assert len(traces(ET.fromstring(svg))) == 13
