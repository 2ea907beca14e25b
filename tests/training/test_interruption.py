"""A run may end at any moment: it goes on from its last checkpoint, to the same weights, or says why it does not."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.full_disk import files_of_at_most
from tests.training.small_cohort import small_cohort
from tests.training.test_trainer import COHORT, LABELS, SCHEDULE, network, weights
from training.augment import Augmentation
from training.checkpoint import FILE, Checkpoint
from training.interruption import EXIT_CODE
from training.objective import Addition, Loss, ObjectiveConfig, make_objective
from training.train import TrainConfig, run
from training.trainer import Execution, WholeTrainer

ROOT = Path(__file__).parents[2]
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["training.train"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run that was never interrupted, with everything in it that has a state."""
    folder = tmp_path_factory.mktemp("whole")
    config = TrainConfig(
        cohort=small_cohort(folder / "cohort"),
        out=folder / "run",
        epochs=6,
        batch_size=16,
        threads=1,
        loss=Loss.DIST,
        addition=Addition.FDS,
        ema=0.9,
        checkpoint_steps=3,
    )
    run(config)
    return config


def results(out: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """Weights, and every epoch but for how long it took."""
    history = json.loads((out / "history.json").read_text())
    timeless = [{k: v for k, v in epoch.items() if k not in ("seconds", "waited_s")} for epoch in history]
    return (out / "weights.safetensors").read_bytes(), json.loads(json.dumps(timeless), parse_constant=str)


def test_killed_ten_times_it_ends_with_the_same_weights(whole: TrainConfig, tmp_path: Path) -> None:
    """kill -9 at moments between nothing done and a quarter of the run; one process more ends it."""
    again, moments, codes = replace(whole, out=tmp_path / "run"), random.Random(7), []
    took_s = sum(epoch["seconds"] for epoch in json.loads((whole.out / "history.json").read_text()))
    for _ in range(10):
        process = PROCESSES.Process(target=run, args=(again,))
        process.start()
        process.join(moments.uniform(0, took_s / 4))
        process.kill()
        process.join()
        codes.append(process.exitcode)
    run(again)
    assert codes.count(-signal.SIGKILL) >= 5
    assert results(again.out) == results(whole.out)
    assert not (again.out / FILE).exists()


@pytest.mark.parametrize("addition", Addition)
def test_every_step_is_one_to_go_on_from(addition: Addition, tmp_path: Path) -> None:
    """Each step by another trainer, which knows nothing but the checkpoint; with noise that is learnt."""
    execution = Execution(ema=0.9)

    def trainer() -> WholeTrainer:
        net = network()
        objective = make_objective(ObjectiveConfig(loss=Loss.BMC, addition=addition), LABELS, net.n_features)
        return WholeTrainer(SCHEDULE, net, objective, COHORT, Augmentation(chest_rows=(2, 3)), execution)

    once = trainer()
    losses = [epoch.loss for epoch in once.epochs()]
    again, found = trainer(), []
    for _ in range(SCHEDULE.epochs * once.n_steps):
        epoch = next(again.steps())
        found += [] if epoch is None else [epoch.loss]
        again.checkpoint().save(tmp_path)
        again = trainer()
        loaded = Checkpoint.load(tmp_path)
        assert loaded is not None
        again.go_on(loaded)
    assert found == losses
    assert weights(again.result.parameters()) == weights(once.result.parameters())


def test_sigterm_writes_a_checkpoint_and_ends_with_its_own_code(whole: TrainConfig, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.train", "--cohort", str(whole.cohort), "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        [*command, "--epochs", "2000", "--batch-size", "16", "--threads", "1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.terminate()
        _, said = process.communicate(timeout=200)
    assert first.startswith("epoch 1:")
    assert process.returncode == EXIT_CODE
    assert "the same command goes on" in said
    assert Checkpoint.load(tmp_path / "run") is not None


def test_a_run_that_is_finished_is_left_as_it_is(whole: TrainConfig) -> None:
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.out.iterdir()}
    assert run(whole)["balanced_mae"] > 0
    assert before == {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole.out.iterdir()}


def test_another_configuration_is_refused_by_name(whole: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match=r"batch_size 16 there, 32 here; seed 1 there, 2 here"):
        run(replace(whole, seed=2, batch_size=32))
    with pytest.raises(FileExistsError, match="cohort"):
        run(replace(whole, cohort=small_cohort(tmp_path / "other", 120)))


def test_a_damaged_checkpoint_is_no_checkpoint(whole: TrainConfig, tmp_path: Path) -> None:
    Checkpoint({"a": torch.ones(3)}, {"epoch": 1}).save(tmp_path)
    (tmp_path / f"{FILE}.part").write_bytes(b"half")
    loaded = Checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded.about == {"epoch": 1}
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-1])
    with pytest.raises(ValueError, match="is damaged"):
        Checkpoint.load(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    Checkpoint({"a": torch.ones(3)}, {"epoch": 1}).save(tmp_path)
    with files_of_at_most(4096), pytest.raises(OSError, match="File too large"):
        Checkpoint({"a": torch.ones(30_000)}, {"epoch": 2}).save(tmp_path)
    loaded = Checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded.about == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_patience_ends_a_run(whole: TrainConfig, tmp_path: Path) -> None:
    config = replace(whole, out=tmp_path / "run", loss=Loss.L1, addition=Addition.NONE, learning_rate=1e-9, ema=0.0)
    run(replace(config, patience=2))
    ended = json.loads((config.out / "finished.json").read_text())
    history = json.loads((config.out / "history.json").read_text())
    best = min(range(len(history)), key=lambda i: history[i]["balanced_mae"])
    assert ended["epochs"] == len(history) == (best + 3 if ended["is_early"] else 6)
