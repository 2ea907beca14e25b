"""What must not be missing: ``ECG_KA_REQUIRE=browser,image,postgres,shared,validators`` makes such a skip a failure."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REQUIRED = frozenset(os.environ.pop("ECG_KA_REQUIRE", "").split(","))  # taken out: the service knows no such setting


def missing(what: str, reason: str) -> NoReturn:
    """Skip the test for this reason, or fail it when the thing is required."""
    if what in REQUIRED:
        pytest.fail(f"{reason}, and ECG_KA_REQUIRE names {what}")
    pytest.skip(reason)
