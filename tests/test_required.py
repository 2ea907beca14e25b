"""What is required must not be skipped, however many processes run the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEST = "from tests.required import missing\n\n\ndef test_that_needs_it():\n    missing('gold', 'there is no gold')\n"


@pytest.mark.parametrize("processes", ["0", "1"])
@pytest.mark.parametrize(("required", "expected"), [("gold,silver", "1 failed"), ("silver", "1 skipped")])
def test_a_skip_of_what_is_required_fails(required: str, expected: str, processes: str, tmp_path: Path) -> None:
    (tmp_path / "test_gold.py").write_text(TEST)
    command = f"-m pytest -p no:cacheprovider -c pyproject.toml --rootdir . -n {processes}".split()
    environment = {**os.environ, "TESTS_REQUIRE": required}
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert expected in done.stdout, done.stdout
