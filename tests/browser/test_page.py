"""The page in a browser: what it shows of an answer, what it refuses, who can use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.ecg_files import Sample, drop, high, withheld
from tests.conftest import ROOT
from tests.required import missing
from tests.service.conftest import Server

Opened = Callable[..., Page]
PHONE = {"width": 390, "height": 844}
AXE = ROOT / ".validators" / "node_modules" / "axe-core" / "axe.min.js"


def answered(page: Page, sample: Sample) -> Page:
    drop(page, sample.files)
    expect(page.locator("#tracing polyline")).not_to_have_count(0)
    expect(page.locator("#effects .quiet", has_text="Asking")).to_have_count(0)
    return page


def style(page: Page, selector: str, name: str) -> list[str]:
    every = page.locator(selector)
    found: list[str] = every.evaluate_all("(all, name) => all.map((one) => getComputedStyle(one)[name])", name)
    return found


def test_the_probability_is_as_large_as_the_estimate(opened: Opened, server: Server) -> None:
    page = answered(opened(server), high())
    sizes = style(page, ".figure-value", "fontSize")
    assert len(sizes) == 3
    assert len(set(sizes)) == 1


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 700}])
def test_nobody_can_scroll_past_what_the_page_is_not(viewport: dict[str, int], opened: Opened, server: Server) -> None:
    page = answered(opened(server, viewport=viewport), high())
    page.mouse.wheel(0, 3000)
    for words in ("Research use only", "Demo model"):
        expect(page.locator(".notice", has_text=words)).to_be_in_viewport()


def test_a_withheld_estimate_shows_its_reason_and_no_number(opened: Opened, server: Server, shared_data: Path) -> None:
    page = answered(opened(server), withheld(shared_data))
    expect(page.locator("#result-title")).to_have_text("Estimate withheld")
    expect(page.locator(".reasons")).to_contain_text("amplitude is implausible")
    expect(page.locator(".figure-value")).to_have_count(0)
    expect(page.locator("#scale")).to_be_hidden()
    expect(page.locator("#history-rows")).to_contain_text("withheld")


def test_an_unreadable_file_shows_the_reason_and_no_earlier_number(opened: Opened, server: Server) -> None:
    page = answered(opened(server), high())
    drop(page, {"notes.txt": b"no ECG at all\n"})
    expect(page.locator("#refusal-title")).to_have_text("No estimate: Unknown format")
    expect(page.locator("#refusal-title")).to_be_focused()
    expect(page.locator("#refusal-words")).to_contain_text("The content is of no known format.")
    expect(page.locator("#answer")).to_be_hidden()


def test_an_explanation_is_shown_or_said_to_be_missing(opened: Opened, server: Server) -> None:
    sample = high()
    told = server.client.post("/v1/explain", files={"file": ("a", sample.files["ecg.csv"])})
    page = answered(opened(server), sample)
    effects = page.locator("#effects")
    if told.status_code != 200:
        expect(effects).to_contain_text("The explanation is not available")
        return
    everywhere = [effect for effect in told.json()["effects"] if len(effect["leads"]) > 6]
    for effect, line in zip(everywhere, effects.locator(".effects li").all(), strict=True):
        expect(line).to_contain_text(f"{abs(effect['change_mmol_l']):.2f} mmol/L")
    expect(page.locator("#tracing .raises, #tracing .lowers")).not_to_have_count(0)


def test_zoom_and_layout_redraw_the_tracing(opened: Opened, server: Server) -> None:
    page = answered(opened(server), high())
    drawing = page.locator("#tracing svg")
    before = float(drawing.get_attribute("width") or 0)
    page.get_by_role("button", name="Zoom in").click()
    assert float(drawing.get_attribute("width") or 0) == pytest.approx(1.25 * before)
    page.get_by_label("Layout").select_option("rows")
    expect(page.locator("#tracing polyline")).to_have_count(12)


def test_a_demonstration_is_refused_as_fhir_and_saved_as_json_and_pdf(opened: Opened, server: Server) -> None:
    page = answered(opened(server), high())
    page.get_by_role("button", name="FHIR").click()
    expect(page.locator("#download-words")).to_contain_text("trained on simulated ECGs only")
    with page.expect_download() as json_file:
        page.get_by_role("button", name="JSON").click()
    saved: dict[str, Any] = json.loads(json_file.value.path().read_text())
    expect(page.locator(".figure-value").first).to_have_text(f"{saved['potassium_mmol_l']:.1f} mmol/L")
    with page.expect_download() as pdf_file:
        page.get_by_role("button", name="PDF").click()
    assert pdf_file.value.path().read_bytes().startswith(b"%PDF")


def test_the_keyboard_alone_is_enough(opened: Opened, server: Server, tmp_path: Path) -> None:
    page = opened(server)
    page.on("filechooser", lambda _: None)  # early, or the browser may open its own window
    file = tmp_path / "ecg.csv"
    file.write_bytes(high().files["ecg.csv"])
    reach(page, "files")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(file)
    expect(page.locator("#result-title")).to_be_focused()
    expect(page.locator("#tracing polyline")).not_to_have_count(0)
    reach(page, "zoom-in")
    page.keyboard.press("Enter")
    expect(page.locator("#zoom")).to_have_text("125 %")


def reach(page: Page, element_id: str) -> None:
    """Press Tab until the element has the focus, and see that it shows it."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == element_id:
            return
    pytest.fail(f"{element_id} cannot be reached with Tab")


def test_the_page_asks_for_a_key_and_keeps_it_for_the_tab(
    opened: Opened, guarded: Server, key: tuple[str, Path]
) -> None:
    page = opened(guarded)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("with a key alone")
    give(page, "ecgka_wrong_wrong")
    expect(dialog).to_contain_text("does not know this key")
    give(page, key[0])
    expect(page.locator("#model-name")).to_contain_text("Model")
    with page.expect_request("**/v1/predict") as first:
        answered(page, high())
    with page.expect_download(), page.expect_request("**/v1/predict") as again:
        page.get_by_role("button", name="FHIR").click()  # allowed there, and marked as test
    assert again.value.headers["idempotency-key"] == first.value.headers["idempotency-key"]  # it is not kept twice
    page.reload()
    expect(page.locator("#model-name")).to_contain_text("Model")
    stored = page.evaluate("[Object.keys(localStorage), Object.keys(sessionStorage).sort(), document.cookie]")
    assert stored == [[], ["ecg-ka-history", "ecg-ka-key"], ""]
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_role("dialog")).to_be_visible()


def give(page: Page, token: str) -> None:
    page.get_by_label("Key", exact=True).fill(token)
    page.get_by_role("button", name="Use this key").click()


def test_history_holds_numbers_and_nothing_that_names_anyone(opened: Opened, server: Server, shared_data: Path) -> None:
    page = opened(server)
    name = "Mustermann_Erika.dcm"
    answered(page, Sample(files={name: (shared_data / "formats/dicom/pydicom-waveform_ecg.dcm").read_bytes()}))
    lines = json.loads(page.evaluate("sessionStorage.getItem('ecg-ka-history')"))
    assert [sorted(line) for line in lines] == [["estimate", "high", "interval", "low", "time"]]
    assert "Mustermann" not in page.content()
    page.reload()
    expect(page.locator("#history-rows tr")).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#history")).to_be_hidden()


def test_what_a_file_says_stays_text(opened: Opened, server: Server) -> None:
    head, *rest = high().files["ecg.csv"].decode().splitlines()
    hostile = "\n".join([head + ",<img src=x onerror=alert(1)>_mV", *(line + ",0.1" for line in rest)])
    page = answered(opened(server), Sample(files={"<script>alert(1)</script>.csv": hostile.encode()}))
    expect(page.locator("#quality .notes")).to_contain_text("<img src=x")
    expect(page.locator("main img, main script")).to_have_count(0)


@pytest.mark.parametrize("state", ["start", "answer", "withheld", "refusal", "key"])
@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 850}])
def test_nothing_is_wider_than_the_window(
    state: str, viewport: dict[str, int], opened: Opened, server: Server, guarded: Server, shared_data: Path
) -> None:
    page = brought_to(state, opened, server, guarded, shared_data, viewport=viewport)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


@pytest.mark.parametrize("state", ["start", "answer", "withheld", "refusal", "key"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    state: str, scheme: str, opened: Opened, server: Server, guarded: Server, shared_data: Path
) -> None:
    if not AXE.is_file():
        missing("browser", "axe-core is not there: it needs npm, and `make validators`")
    page = brought_to(state, opened, server, guarded, shared_data, color_scheme=scheme)
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    grave = [fault for fault in found["violations"] if fault["impact"] in ("serious", "critical")]
    assert [(fault["id"], [node["html"][:120] for node in fault["nodes"]]) for fault in grave] == []


def brought_to(state: str, opened: Opened, server: Server, guarded: Server, shared_data: Path, **options: Any) -> Page:
    page = opened(guarded if state == "key" else server, **options)
    match state:
        case "answer":
            answered(page, high())
            page.locator("#effects summary").or_(page.locator("#effects .missing")).first.click()
        case "withheld":
            answered(page, withheld(shared_data))
        case "refusal":
            drop(page, {"a.txt": b"no ECG\n"})
            expect(page.locator("#refusal")).to_be_visible()
        case "key":
            expect(page.get_by_role("dialog")).to_be_visible()
        case _:
            expect(page.locator("#model-name")).not_to_be_empty()
    return page
