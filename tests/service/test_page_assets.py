"""The page as it is served: its headers, its files, and what stands in them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings

FOLDER = Path(__file__).parents[2] / "service" / "page"
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}


class Markup(HTMLParser):
    """What a page loads, and what of it would be inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: set[str] = set()
        self.inline: list[str] = []
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.loaded |= {value or "" for name, value in attrs if name == "src" or (tag == "link" and name == "href")}

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def markup() -> Markup:
    return Markup((FOLDER / "index.html").read_text())


def sources(suffix: str) -> str:
    return "\n".join(file.read_text() for file in sorted(FOLDER.glob(f"*{suffix}")))


def test_the_page_runs_its_own_scripts_alone_and_talks_to_its_own_origin(client: TestClient) -> None:
    answer = client.get("/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy.pop("default-src") == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors", "trusted-types")} == {"'none'"}
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["content-type"].startswith("text/html")
    expected = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}
    expected |= {"cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin"}
    assert {name: answer.headers[name] for name in expected} == expected
    assert "camera=()" in answer.headers["permissions-policy"]


def test_every_file_that_is_loaded_is_served_as_what_it_is(client: TestClient, markup: Markup) -> None:
    modules = {f"page/{name}" for name in re.findall(r'from "\./(\S+)";', sources(".js"))}
    loaded = markup.loaded | modules
    assert {f"page/{file.name}" for file in FOLDER.iterdir()} - {"page/index.html"} == loaded
    for name in loaded:
        answer = client.get(f"/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].startswith(KINDS[Path(name).suffix])
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_is_inline_nothing_comes_from_elsewhere_and_no_text_becomes_markup(markup: Markup) -> None:
    assert markup.inline == []
    everything = "".join(sources(suffix) for suffix in KINDS)
    assert set(re.findall(r"https?://[^\s\"']+", everything)) == {"http://www.w3.org/2000/svg"}
    makers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser"
    assert re.findall(makers, sources(".js")) == []
    assert re.findall(r"@import|url\((?!\"#)", sources(".css")) == []


def test_the_page_is_open_and_promises_nothing(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(json.dumps({"id": "0" * 12, "name": "a", "scopes": ["predict"], "sha256": "0" * 64}))
    with TestClient(create_app(Settings(keys_file=keys))) as guarded:
        assert guarded.get("/v1/model").status_code == 401
        assert guarded.get("/").status_code == 200
        assert guarded.get("/page/main.js").status_code == 200
    words = sources(".html") + sources(".js")
    assert not re.findall(r"(?i)\bnormal\b|ruled? out|\bexcluded?\b|\btreat", words)
    assert "Research use only" in words
    assert "Not a medical device" in words


@pytest.mark.parametrize("path", ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc/passwd", "absent.js", ""])
def test_no_other_file_is_served(client: TestClient, path: str) -> None:
    answer = client.get(f"/page/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
