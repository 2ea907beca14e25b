"""Debian's Chromium without a window, in front of real servers on free loopback ports."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import ROOT
from tests.required import missing
from tests.service.conftest import Server, running

# Nothing may be asked of the network: a browser left to itself looks for updates.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync"]
_WIDE = {"width": 1280, "height": 850}
_ANSWERED_WITH = "Failed to load resource: the server responded with a status of 4"
"""What Chromium writes to the console about every refusal, also one that the page shows."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An open page, and what went wrong on it beside its own words: console, uncaught errors, other origins."""

    page: Page
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        missing("browser", "chromium is not installed (Debian's package chromium)")
    expect.set_options(timeout=60_000)  # a busy machine is slow, not wrong
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service with its own settings and the shipped demonstration."""
    with running(tmp_path_factory.mktemp("page")) as started:
        yield started


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A key for estimates, and the file that the operator keeps of it."""
    command = [sys.executable, "-m", "service", "keys", "line", "ward", "--scopes", "predict"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    file = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    file.write_text(made.stdout)
    return made.stderr.split()[-1], file


@pytest.fixture(scope="session")
def guarded(key: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service where it wants a key and lets a demonstration export."""
    with running(tmp_path_factory.mktemp("guarded"), keys_file=key[1], allow_demo_exports=1) as started:
        yield started


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page of a server; when the test is over nothing may have gone wrong on any of them."""
    contexts: list[BrowserContext] = []
    shown: list[Shown] = []

    def open_page(server: Server, **options: Any) -> Page:
        contexts.append(browser.new_context(viewport=options.pop("viewport", _WIDE), **options))
        shown.append(_watched(contexts[-1].new_page(), server))
        shown[-1].page.goto(f"http://127.0.0.1:{server.port}/")
        return shown[-1].page

    yield open_page
    faults = [fault for one in shown for fault in one.faults]
    for context in contexts:
        context.close()
    assert faults == []


def _watched(page: Page, server: Server) -> Shown:
    found = Shown(page)
    origin = f"http://127.0.0.1:{server.port}/"
    page.on("request", lambda request: _note(found, request.url, ok=request.url.startswith((origin, "blob:" + origin))))
    page.on("console", lambda line: _note(found, line.text, ok=line.text.startswith(_ANSWERED_WITH)))
    page.on("pageerror", lambda error: _note(found, str(error), ok=False))
    return found


def _note(found: Shown, text: str, *, ok: bool) -> None:
    if not ok:
        found.faults.append(text)
