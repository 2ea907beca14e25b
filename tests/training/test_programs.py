"""Every program of training from its command line."""

from __future__ import annotations

from typing import Any

import pytest

from training.calibrate import CalibrateConfig
from training.checks import ChecksConfig
from training.cohort.__main__ import PROGRAMS
from training.comparison.plan import CompareConfig
from training.config import parse
from training.evaluate import EvaluateConfig
from training.export import ExportConfig
from training.personal import PersonalConfig
from training.shift import ShiftConfig
from training.train import TrainConfig

CONFIGS = (CalibrateConfig, ChecksConfig, CompareConfig, EvaluateConfig, ExportConfig, PersonalConfig, ShiftConfig,
           TrainConfig, *(of_program for of_program, _ in PROGRAMS.values()))  # fmt: skip


@pytest.mark.parametrize("of_program", CONFIGS)
def test_every_program_explains_itself(of_program: type[Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        parse(of_program, ["--help"])
    shown = capsys.readouterr().out
    assert "--out" in shown
    assert "%%" not in shown
