"""The service does what its description says: schemathesis asks every route, with requests that fit the description and
such that do not, the same ones at every run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ecg_ka
from service.storage import keys
from tests.service.conftest import ROOT, Server, running

CONFIG = Path(__file__).with_name("schemathesis.toml")
WITHOUT_STORAGE = '\n[checks.not_a_server_error]\nexpected-statuses = ["2xx", "4xx", 501]\n'  # as described
LIMITS = {"rate_limit_per_s": 100_000, "failed_keys_per_minute": 1000}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("keeps", [False, True])
def test_every_route_answers_as_described(keeps: bool, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG.read_text() + ("" if keeps else WITHOUT_STORAGE))
    token, key = keys.new_key("checker", ["admin"], None)
    line = {"id": key.id, "name": key.name, "scopes": sorted(key.scopes), "sha256": key.sha256}
    (tmp_path / "keys.jsonl").write_text(json.dumps(line))
    settings = {"bundle": ecg_ka.SHIPPED, "keys_file": tmp_path / "keys.jsonl", **LIMITS}
    with running(tmp_path, **settings, **({"data": tmp_path / "data"} if keeps else {})) as server:
        asked = ask(server, tmp_path, token)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["failures"], report["errors"], asked.returncode) == ([], [], 0), asked.stdout
    assert report["operations"]["tested"] == report["operations"]["total"] > 15
    assert report["test_cases"]["generated"] > 300
    assert [line for line in server.log_lines() if line["level"] == "error" or line.get("status") == 500] == []


def ask(server: Server, folder: Path, token: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with the key of an administrator."""
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"]
    command = [*program, "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    command += ["-H", f"Authorization: Bearer {token}", "--report-json-path", "report.json"]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.verify.given_ecgs", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800)
