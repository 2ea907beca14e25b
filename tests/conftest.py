"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.required import missing
from tests.service.postgres import Postgres, started

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"

# The same examples at every run, so that a failure is one of the commit; --hypothesis-profile=search looks for others.
settings.register_profile("plain", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("plain")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real ECG files, which is not part of the project."""
    if not SHARED.is_dir():
        missing("shared", f"real ECG files are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of our own on loopback."""
    with started() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Settings with an empty storage, once of each kind."""
    chosen: dict[str, Any] = {"data": tmp_path / "data"}
    if request.param == "postgresql":
        chosen["database"] = request.getfixturevalue("postgres").new_database()
    return chosen
