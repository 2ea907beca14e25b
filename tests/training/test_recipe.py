"""The recipe of the shipped bundle is written once, in training/runs/shipped.sh, and its programs take it."""

from __future__ import annotations

import shlex
from pathlib import Path

from training import evaluate, export, train
from training.cohort import manifest, mimic, simulated
from training.config import parse

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "training.cohort.simulated": simulated.SimulatedConfig,
    "training.train": train.TrainConfig,
    "training.export": export.ExportConfig,
}
BUILDERS = {
    "training.cohort.mimic": mimic.MimicConfig,
    "training.cohort.manifest": manifest.ManifestConfig,
}


def test_every_command_of_the_script_is_one_that_its_program_takes() -> None:
    script = (ROOT / "training" / "runs" / "shipped.sh").read_text().replace("\\\n", "")
    commands = [shlex.split(line)[2:] for line in script.splitlines() if line.startswith("python -m training.")]
    assert set(CONFIGS) == {program for program, *_ in commands}
    for program, *options in commands:
        parse(CONFIGS[program], options)


def test_the_readme_sends_to_the_script_and_repeats_none_of_it() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "training/runs/shipped.sh" in readme
    commands = [shlex.split(line, comments=True)[2:] for line in readme.splitlines() if "python -m training." in line]
    programs = {**BUILDERS, "training.evaluate": evaluate.EvaluateConfig}
    assert {program for program, *_ in commands} == set(programs)
    for program, *options in commands:
        parse(programs[program], options)
