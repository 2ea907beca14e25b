"""The recipes in training/runs: every command is one that its program takes; tests/verify runs the smallest."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from training import evaluate, export, train
from training.config import parse

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "training" / "runs"
CONFIGS = {
    "training.train": train.TrainConfig,
    "training.export": export.ExportConfig,
    "training.evaluate": evaluate.EvaluateConfig,
}


@pytest.mark.parametrize("path", [p for p in sorted(RUNS.glob("*.sh")) if "training.train" in p.read_text()])
def test_programs_take_the_commands_of_every_recipe(path: Path) -> None:
    """Those of the cohort builders are run, or tested with the README."""
    found = set()
    for line in path.read_text().replace("\\\n", "").splitlines():
        words = [] if line.startswith("#") else [word for word in shlex.split(line) if word != "$@"]
        if "-m" in words and (program := words[words.index("-m") + 1]) in CONFIGS:
            parse(CONFIGS[program], words[words.index("-m") + 2 :])
            found.add(program)
    assert {"training.train", "training.export"} <= found
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("words", [[], ["fly"], ["--help"]])
def test_the_container_names_its_programs(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "training", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == (0 if words == ["--help"] else 2)
    for program in ("cohort", "train", "evaluate", "export"):
        assert program in done.stdout + done.stderr
    if not words:
        done = subprocess.run(
            [sys.executable, "-m", "training", "train", "-h"], cwd=ROOT, capture_output=True, text=True
        )
        assert "--cohort" in done.stdout
