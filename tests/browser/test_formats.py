"""Each supported format, dropped on the page: the tracing of the file and the very number that the API gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

import ecg_ka
from ecg_ka.readers import registry
from tests.browser.ecg_files import BY_FORMAT, Sample, drop
from tests.service.conftest import Server


def test_every_format_that_is_read_is_dropped_here() -> None:
    assert set(BY_FORMAT) == {known.name for known in registry.FORMATS} | {"zip"}


def fill(page: Page, sample: Sample) -> None:
    page.get_by_text("What the file does not say itself").click()
    for name, value in sample.fields.items():
        place = page.locator(f"[name={name}]")
        if name in ("units", "level"):
            place.select_option(value)
        else:
            place.fill(value)


def drawn_mv(page: Page, lead: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds and millivolt of the last curve that is drawn of a lead, the latter from its first point on."""
    text = page.locator(f"#tracing polyline[data-lead={lead}]").last.get_attribute("points") or ""
    x, y = np.array([pair.split(",") for pair in text.split()], dtype=np.float64).T
    return (x - x[0]) / 25, (y[0] - y) / 10


def check_tracing(page: Page, sample: Sample) -> None:
    expect(page.get_by_role("img", name="ECG tracing")).to_be_visible()
    curves = page.locator("#tracing polyline")
    expect(curves).to_have_count(13)
    given = {name: sample.fields.get(name) for name in ("units", "leads")}
    source = sample.files if len(sample.files) > 1 else next(iter(sample.files.values()))
    record = ecg_ka.read(
        source,
        fs_hz=float(sample.fields["fs_hz"]) if "fs_hz" in sample.fields else None,
        units=given["units"],
        leads=None if given["leads"] is None else given["leads"].split(","),
    )
    window, _ = ecg_ka.choose_window(record, ecg_ka.Estimator.load().bundle.signal)
    seconds, rise_mv = drawn_mv(page, "II")
    np.testing.assert_allclose(seconds, np.arange(seconds.size) / record.fs_hz, atol=1e-3)
    np.testing.assert_allclose(rise_mv, window.lead("II")[: seconds.size] - window.lead("II")[0], atol=3e-3)


@pytest.mark.parametrize("name", BY_FORMAT)
def test_a_dropped_file_shows_its_tracing_and_the_number_of_the_api(
    name: str, opened: Callable[..., Page], server: Server, shared_data: Path
) -> None:
    sample = BY_FORMAT[name](shared_data)
    sent = [("file", (file, data)) for file, data in sample.files.items()]
    answer = server.client.post("/v1/predict", files=sent, data=dict(sample.fields)).json()
    page = opened(server)
    fill(page, sample)
    drop(page, sample.files)
    figures = page.locator(".figure-value")
    shares = [p["p"] for p in answer["probabilities"] if p["threshold_mmol_l"] in (5.5, 3.5)]
    expect(figures.first).to_have_text(f"{answer['potassium_mmol_l']:.1f} mmol/L")
    for figure, share in zip(figures.all()[1:], shares, strict=True):
        expect(figure).to_have_text("< 1 %" if share < 0.01 else f"{100 * share:.0f} %")
    ends = f"{answer['interval']['lower']:.1f} to {answer['interval']['upper']:.1f}"
    level = f"{100 * answer['interval']['level']:.0f} %"
    expect(page.locator(".interval-words").first).to_have_text(f"{level} interval over all ECGs: {ends}")
    for flag in answer["flags"]:
        expect(page.locator("#flags")).to_contain_text(flag["sentence"])
    check_tracing(page, sample)
