"""The smallest recipe of training/runs as it stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ecg_ka.bundle import load_bundle

ROOT = Path(__file__).parents[2]


def test_smoke_makes_a_bundle_and_again_nothing(tmp_path: Path) -> None:
    """With 300 patients; the second time all is there, and only the export is made anew."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for _ in range(2):
        command = [str(ROOT / "training" / "runs" / "smoke.sh"), str(tmp_path / "work"), "300"]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "is finished; nothing to do" in done.stdout
    bundle = load_bundle(tmp_path / "work" / "bundle")
    assert bundle.provenance.training["after"]["config"]["loss"] == "l1"
