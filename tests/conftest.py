"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.required import missing

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
