"""The recipe of the shipped bundle is written once, in training/runs/shipped.sh, and its programs take it."""

from __future__ import annotations

import shlex
from pathlib import Path

from training import evaluate, export, train
from training.cohort.__main__ import PROGRAMS
from training.config import parse

ROOT = Path(__file__).parents[2]
CONFIGS = {
    **{f"training.cohort {name}": config for name, (config, _) in PROGRAMS.items()},
    "training.train": train.TrainConfig,
    "training.export": export.ExportConfig,
    "training.evaluate": evaluate.EvaluateConfig,
}
BUILDERS = {f"training.cohort {name}" for name in PROGRAMS}


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Programs (with the name of a builder) and their options."""
    lines = [line for line in text.replace("\\\n", "").splitlines() if line.startswith("python -m training.")]
    words = [shlex.split(line, comments=True)[2:] for line in lines]
    return [(" ".join(w[: 1 + (w[0] == "training.cohort")]), w[1 + (w[0] == "training.cohort") :]) for w in words]


def test_every_command_of_the_script_is_one_that_its_program_takes() -> None:
    script = (ROOT / "training" / "runs" / "shipped.sh").read_text()
    assert {program for program, _ in commands(script)} == {
        "training.cohort simulated",
        "training.train",
        "training.export",
    }
    for program, options in commands(script):
        parse(CONFIGS[program], options)


def test_the_readme_sends_to_the_script_and_repeats_none_of_it() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "training/runs/shipped.sh" in readme
    assert {program for program, _ in commands(readme)} == {*BUILDERS, "training.evaluate"} - {
        "training.cohort simulated"
    }
    for program, options in commands(readme):
        parse(CONFIGS[program], options)
