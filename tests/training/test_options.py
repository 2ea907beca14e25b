"""Options of a training run that are off unless asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.small_cohort import small_cohort
from tests.training.test_trainer import COHORT, LABELS, SCHEDULE, network
from training.augment import Augmentation
from training.objective import ObjectiveConfig, make_objective
from training.train import TrainConfig
from training.trainer import Execution, WholeTrainer

ROOT = Path(__file__).parents[2]


def test_all_of_them_at_once(tmp_path: Path) -> None:
    """From the command line, with warnings as errors; what the run leaves behind explains it."""
    options = ["--deterministic", "--tensorboard", "--ema", "0.9", "--draws", "by-position", "--augmentation", "full"]
    command = [sys.executable, "-W", "error", "-m", "training.train", "--cohort", str(small_cohort(tmp_path / "c"))]
    command += ["--out", str(tmp_path / "run"), "--epochs", "2", "--batch-size", "32", "--threads", "1", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    curves = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    curves.Reload()
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [e.value for e in curves.Scalars("balanced_mae")] == pytest.approx([e["balanced_mae"] for e in history])
    words = (tmp_path / "run" / "README.txt").read_text()
    assert "the whole network, from random weights, with loss l1" in words
    assert "--augmentation full" in words
    (start,) = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert start["torch"] == torch.__version__
    assert start["processes"] == 1


def test_the_average_follows_the_weights() -> None:
    """a <- 0.5 a + 0.5 w after every step, from the weights after the first."""
    net = network()
    objective = make_objective(ObjectiveConfig(), LABELS, net.n_features)
    trainer = WholeTrainer(SCHEDULE, net, objective, COHORT, Augmentation(chest_rows=(2, 3)), Execution(ema=0.5))
    expected = None
    for _ in trainer.steps():
        now = {k: v.clone() for k, v in net.state_dict().items() if v.is_floating_point()}
        expected = now if expected is None else {k: 0.5 * expected[k] + 0.5 * v for k, v in now.items()}
    assert expected is not None
    average = trainer.result.state_dict()
    assert trainer.result is not net
    for name, value in expected.items():
        torch.testing.assert_close(average[name], value)


@pytest.mark.parametrize(("name", "value"), [("checkpoint_steps", 0), ("batch_size", 0), ("ema", 1.0)])
def test_numbers_that_mean_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} {value}"):
        TrainConfig(cohort=Path("c"), out=Path("o"), **{name: value})  # type: ignore[arg-type]
