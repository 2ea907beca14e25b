"""From a cohort to a bundle, in small: what is written, that it repeats, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import indent

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from ecg_ka import Estimator, Flag
from ecg_ka.bundle import load_bundle
from tests.ecg_ka.ecgs import ecg
from training.augment import Augmentation
from training.cohort import SPLIT_SHARES, Cohort, Split, at_half_rate, split_of, to_mv, to_steps
from training.cohort.simulated import SimulatedConfig, build
from training.config import parse
from training.draws import InOrder
from training.export import ExportConfig, export
from training.objective import Loss, ObjectiveConfig, Weights
from training.train import TrainConfig, run
from training.trainer import spread_loss

ON_A_GPU_MACHINE = """
import sys
from importlib.machinery import PathFinder
class Rest:
    absent = {"onnxruntime", "wfdb", "neurokit2", "pandas", "matplotlib", "pydicom", "pydantic"}
    absent |= {"typer", "fastapi"}
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in cls.absent else PathFinder.find_spec(name, path, target)
sys.meta_path[:] = [Rest if finder is PathFinder else finder for finder in sys.meta_path]
from dataclasses import replace
from pathlib import Path
from training.cohort.simulated import SimulatedConfig, build
from training.export import ExportConfig, export
from training.objective import Loss, Weights
from training.train import TrainConfig, run
here = Path(sys.argv[1])
build(SimulatedConfig(out=here / "cohort", patients=450, visits=2, workers=1))
l1 = TrainConfig(cohort=here / "cohort", out=here / "l1", epochs=1, batch_size=64, threads=1)
run(l1)
dist = replace(l1, out=here / "dist", init=here / "l1", head_only=True, loss=Loss.DIST, weights=Weights.SQINV)
run(replace(dist, epochs=60, learning_rate=3e-3, batch_size=256))
export(ExportConfig(run=here / "dist", reference=here / "l1", cohort=here / "cohort", out=here / "bundle"))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From a cohort to a bundle on a GPU machine that has no registry: all that a training process writes."""
    folder = tmp_path_factory.mktemp("made")
    script = folder / "on_a_gpu_machine.py"
    script.write_text(f"if __name__ == '__main__':\n{indent(ON_A_GPU_MACHINE, '    ')}")
    done = subprocess.run(
        [sys.executable, script, folder],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def cohort(made: Path) -> Path:
    return made / "cohort"


@pytest.fixture(scope="module")
def l1_run(made: Path) -> Path:
    return made / "l1"


def test_training_needs_torch_numpy_scipy_polars_safetensors_and_onnx_alone(made: Path) -> None:
    assert (made / "bundle" / "MODEL_CARD.md").is_file()


def test_a_cohort_says_what_it_is_and_keeps_patients_together(cohort: Path) -> None:
    opened = Cohort.open(cohort)
    assert opened.about["about"]["is_simulated"]
    assert opened.signals.shape == (900, 8, 2500)
    assert set(opened.about["counts"]) == {split.value for split in Split}
    patients = opened.index["patient"]
    for patient in np.unique(patients):
        assert len(set(opened.index["split"][patients == patient])) == 1
    for split, share in SPLIT_SHARES.items():
        assert len(opened.first_rows(split)) / 450 == pytest.approx(share, abs=0.06)
    labels = opened.labels(opened.rows(Split.TRAIN))
    np.testing.assert_allclose(labels * 10, np.rint(labels * 10), atol=1e-5)


@pytest.mark.parametrize("split", Split)
def test_of_several_visits_all_train_and_only_the_first_counts_elsewhere(split: Split) -> None:
    names = np.array(["b", "a", "b", "c", "a", "a"])
    index = {"patient": names, "split": np.full(6, split.value), "potassium_mmol_l": np.arange(6, dtype=np.float32)}
    opened = Cohort(np.zeros((6, 8, 1), dtype=np.int16), index, {})
    assert opened.first_rows(split).tolist() == [0, 1, 3]
    assert opened.labels(opened.rows(split)).tolist() == ([*range(6)] if split is Split.TRAIN else [0, 1, 3])


def test_the_same_seed_gives_the_same_cohort(cohort: Path, tmp_path: Path) -> None:
    build(SimulatedConfig(out=tmp_path / "c", patients=70, visits=2, workers=2))
    small, whole = Cohort.open(tmp_path / "c"), Cohort.open(cohort)
    n = 128  # the first batch of 64 patients is the same; the last of a cohort depends on its size
    np.testing.assert_array_equal(small.signals[:n], whole.signals[:n])
    np.testing.assert_array_equal(small.index["split"][:n], whole.index["split"][:n])


def test_an_unfinished_cohort_is_not_taken_for_a_good_one(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "signals.npy").write_bytes((cohort / "signals.npy").read_bytes()[:1000])
    with pytest.raises(FileNotFoundError, match="no finished cohort"):
        Cohort.open(tmp_path)
    with pytest.raises(FileExistsError):
        build(SimulatedConfig(out=cohort, patients=1))


@given(st.text(max_size=20), st.text(max_size=80))
def test_a_patient_has_one_split_for_ever(patient: str, key: str) -> None:
    assert split_of(patient, key) is split_of(patient, key)


@given(st.lists(st.integers(-32767, 32767), min_size=1, max_size=50))
@settings(max_examples=50)
def test_storing_a_model_input_loses_nothing(steps: list[int]) -> None:
    stored = np.array(steps, dtype=np.int16)
    np.testing.assert_array_equal(to_steps(to_mv(stored)), stored)


def test_a_run_leaves_its_configuration_history_and_metrics(l1_run: Path) -> None:
    saved = json.loads((l1_run / "config.json").read_text())
    assert saved["train"]["loss"] == "l1"
    assert saved["cohort"]["about"]["is_simulated"]
    assert len(json.loads((l1_run / "history.json").read_text())) == 1
    metrics = json.loads((l1_run / "metrics.json").read_text())
    assert {"mae", "balanced_mae", "mae_few", "sd_labels", "parameters"} <= set(metrics)


def test_the_same_seed_gives_the_same_weights(cohort: Path, l1_run: Path, tmp_path: Path) -> None:
    """In another process too."""
    run(TrainConfig(cohort=cohort, out=tmp_path / "again", epochs=1, batch_size=64, threads=1))
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (l1_run / "weights.safetensors").read_bytes()


def test_a_run_that_is_unfinished_or_had_another_cohort_is_not_exported(
    cohort: Path, l1_run: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(cohort, tmp_path / "other")
    about = json.loads((other / "cohort.json").read_text())
    about["sha256"]["plan"] = "of other options"
    (other / "cohort.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"l1 was trained on another cohort .*training\.calibrate"):
        export(ExportConfig(run=l1_run, cohort=other, out=tmp_path / "b"))
    unfinished = shutil.copytree(l1_run, tmp_path / "unfinished")
    (unfinished / "finished.json").unlink()
    for options in ({"run": unfinished}, {"run": l1_run, "members": str(unfinished)}):
        with pytest.raises(ValueError, match="unfinished is not finished"):
            export(ExportConfig(cohort=cohort, out=tmp_path / "b", **options))
    assert not (tmp_path / "b").exists()


def test_retraining_the_head_widens_the_estimates_and_leaves_the_features(made: Path) -> None:
    before, after = (json.loads((made / name / "metrics.json").read_text()) for name in ("l1", "dist"))
    assert after["sd_estimates"] > 2 * before["sd_estimates"]
    old, new = (load_file(made / name / "weights.safetensors") for name in ("l1", "dist"))
    changed = {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert changed == {"head", "spread_head"}


def test_a_bundle_answers_with_the_exact_settings_and_figures_that_belong_to_it(cohort: Path, made: Path) -> None:
    out = made / "bundle"
    bundle = load_bundle(out)
    assert bundle.provenance.licences == ()
    assert bundle.provenance.training["config"]["weights"] == "sqinv"
    assert bundle.provenance.training["after"]["config"]["loss"] == "l1"
    index = Cohort.open(cohort).index
    patients = {split: len(np.unique(index["patient"][index["split"] == split.value])) for split in Split}
    assert int(bundle.density.counts.sum()) == patients[Split.TRAIN]
    assert bundle.identity().n_calibration == patients[Split.CALIBRATION]
    assert bundle.metrics["model"]["n"] == patients[Split.TEST]
    assert bundle.metrics["intervals_label_conditional"]["by_true_value"]["all"]["n"] == patients[Split.TEST]
    assert set(bundle.metrics["bands"]["by_true_band"]) == {"below_3_5", "3_5_to_5_4", "5_5_and_above"}
    assert set(bundle.metrics["missing_chest_leads"]) == {"0", "1", "2"}
    answer = Estimator.load(out).estimate(ecg(1))
    assert answer.model.sha256 == bundle.sha256
    assert Flag.DEMO_MODEL in answer.flags
    assert bundle.sha256 in (out / "MODEL_CARD.md").read_text()


def test_a_loss_that_takes_no_weights_refuses_them() -> None:
    with pytest.raises(ValueError, match="ccc takes no weights"):
        ObjectiveConfig(loss=Loss.CCC, weights=Weights.INV)


def test_half_the_rate_is_the_mean_of_pairs(cohort: Path) -> None:
    whole = Cohort.open(cohort)
    half = at_half_rate(whole)
    rows = np.arange(3)
    pairs = whole.signal_mv(rows).reshape(3, 8, 1250, 2).mean(axis=3)
    np.testing.assert_allclose(half.signal_mv(rows), pairs, atol=0.00051)
    assert half.about["signal"]["fs_hz"] == whole.about["signal"]["fs_hz"] / 2
    np.testing.assert_array_equal(half.labels(half.rows(Split.TEST)), whole.labels(whole.rows(Split.TEST)))


def test_the_spread_is_fitted_without_moving_the_estimate() -> None:
    estimate = torch.tensor([4.0, 5.0], requires_grad=True)
    spread = torch.tensor([0.5, 0.5], requires_grad=True)
    torch.autograd.backward(spread_loss(estimate, spread, torch.tensor([4.3, 5.3])))
    assert estimate.grad is None
    assert spread.grad is not None
    assert (spread.grad > 0).all()  # wider than the error of 0.3, so it is pulled down


def in_order(n: int) -> InOrder:
    return InOrder(torch.Generator().manual_seed(5), n, torch.device("cpu"))


def test_augmentation_blanks_only_chest_leads_and_only_ends() -> None:
    augment = Augmentation(chest_rows=(2, 3, 4, 5, 6, 7), p_chest_leads_off=1.0, p_short=1.0, p_noise=0.0, gain_sd=0.0)
    out = augment(torch.ones(200, 8, 100), in_order(200))
    off = (out == 0).all(dim=2)
    assert not off[:, :2].any()
    assert set(off.sum(dim=1).tolist()) == {1, 2}
    lengths = out[:, 0].sum(dim=1)
    assert (lengths >= 50).all()
    assert len(set(lengths.tolist())) > 20
    for row, length in zip(out[:, 0], lengths.int().tolist(), strict=True):
        assert row[:length].all()
        assert not row[length:].any()


def test_augmentation_repeats_and_can_be_switched_off() -> None:
    augment = Augmentation(chest_rows=(2, 3))
    x = torch.randn(16, 4, 50)
    one, other = (augment(x, in_order(16)) for _ in range(2))
    assert torch.equal(one, other)
    off = replace(augment, p_chest_leads_off=0, p_short=0, p_noise=0, gain_sd=0)
    assert torch.equal(off(x, in_order(16)), x)


def test_configurations_come_from_the_command_line_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHS", "99")
    monkeypatch.setenv("LR", "5")
    parsed = parse(TrainConfig, ["--cohort", "a", "--out", "b", "--head-only", "--loss", "dist", "--no-bf16"])
    assert (parsed.epochs, parsed.head_only, parsed.loss, parsed.bf16) == (10, True, Loss.DIST, False)
    assert parsed.init is None


@pytest.mark.parametrize("wrong", [["--epoch", "3"], ["--loss", "l3"], ["--epochs", "many"], ["--colour", "red"], []])
def test_unknown_or_wrong_options_are_fatal(wrong: list[str]) -> None:
    required = ["--cohort", "a", "--out", "b"] if wrong else []
    with pytest.raises(SystemExit) as ended:
        parse(TrainConfig, [*required, *wrong])
    assert ended.value.code == 2
