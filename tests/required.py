"""What must not be missing: ``TESTS_REQUIRE=browser,image,postgres,shared,validators`` makes such a skip a failure."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REQUIRED = frozenset(os.environ.get("TESTS_REQUIRE", "").split(","))  # not ECG_KA_...: no setting of the service


def missing(what: str, reason: str) -> NoReturn:
    """Skip the test for this reason, or fail it when the thing is required."""
    if what in REQUIRED:
        pytest.fail(f"{reason}, and TESTS_REQUIRE names {what}")
    pytest.skip(reason)
