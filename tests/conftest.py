"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.required import missing

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real ECG files, which is not part of the project."""
    if not SHARED.is_dir():
        missing("shared", f"real ECG files are not at {SHARED}")
    return SHARED
