"""What libraries say about a file does not reach the log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, warnings
from service import logs
logs.configure()
logging.getLogger("some.library").error("bad value 'Mustermann'")
warnings.warn("bad value 'Mustermann'")
try:
    raise ValueError("Mustermann")
except ValueError:
    logging.getLogger("uvicorn.error").exception("it failed")
logging.getLogger("service").info("done", extra={"data": {"status": 200}})
"""


def test_only_our_own_lines_are_written_and_no_message_of_an_exception() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert "Mustermann" not in done.stderr + done.stdout
    failed, last = (json.loads(line) for line in done.stderr.splitlines())
    assert (failed["event"], failed["error"], len(failed["places"])) == ("it failed", "ValueError", 1)
    assert (last["event"], last["level"], last["status"]) == ("done", "info", 200)
