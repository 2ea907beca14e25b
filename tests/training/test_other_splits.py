"""A bundle is not judged by patients whom another rule of splits may have had among those that trained it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from ecg_ka.bundle import SHIPPED, load_bundle, save_bundle
from training.calibrate import CalibrateConfig, calibrate
from training.cohort import SPLIT_OPTIONS, Cohort
from training.cohort.records import BuildOptions
from training.cohort.splits import SplitBy
from training.evaluate import EvaluateConfig, run
from training.train import TrainConfig
from training.train import run as train


def built_with(cohort: Path, folder: Path, options: BuildOptions) -> Path:
    """The same ECGs, as a builder that reads files describes its cohort."""
    folder.mkdir()
    for file in cohort.iterdir():
        (folder / file.name).symlink_to(file)
    about: dict[str, Any] = json.loads((cohort / "cohort.json").read_text())
    about["about"]["spec"] = options.content()
    (folder / "cohort.json").unlink()
    (folder / "cohort.json").write_text(json.dumps(about))
    return folder


def trained_on(cohort: Path, folder: Path) -> Path:
    """The shipped bundle, as if this cohort had trained it."""
    shipped = load_bundle()
    training = {**shipped.provenance.training, "splits_sha256": Cohort.open(cohort).splits_sha256}
    save_bundle(replace(shipped, provenance=replace(shipped.provenance, training=training)), folder)
    return folder


def test_a_cohort_split_by_another_rule_neither_tests_nor_calibrates_unless_its_patients_are_others(
    cohort: Path, tmp_path: Path
) -> None:
    ours = built_with(cohort, tmp_path / "ours", BuildOptions(out=tmp_path))
    grown = built_with(cohort, tmp_path / "grown", BuildOptions(out=tmp_path / "elsewhere", workers=7))
    other = built_with(cohort, tmp_path / "other", BuildOptions(out=tmp_path, split_key="other"))
    bundle, out = trained_on(ours, tmp_path / "b"), tmp_path / "out"
    with pytest.raises(ValueError, match=r"another rule .* --split-key, .* say --unseen"):
        run(EvaluateConfig(bundle=bundle, cohort=other, out=out, resamples=100))
    with pytest.raises(ValueError, match=r"another rule .* say --of unseen"):
        calibrate(CalibrateConfig(bundle=bundle, cohort=other, out=out))
    assert not out.exists()
    assert run(EvaluateConfig(bundle=bundle, cohort=other, out=tmp_path / "unseen", resamples=100, unseen=True))
    calibrate(CalibrateConfig(bundle=bundle, cohort=grown, out=out))
    calibrate(CalibrateConfig(bundle=SHIPPED, cohort=other, out=tmp_path / "simulated"))


def test_training_on_from_such_a_bundle_or_run_is_told(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = built_with(cohort, tmp_path / "ours", BuildOptions(out=tmp_path))
    other = built_with(cohort, tmp_path / "other", BuildOptions(out=tmp_path, split_key="other"))
    config = TrainConfig(cohort=other, out=tmp_path / "run", init=trained_on(ours, tmp_path / "b"), epochs=1)
    config = replace(config, head_only=True, threads=1)
    train(config)
    assert "warning: the cohort is split by another rule" in capsys.readouterr().err
    train(replace(config, init=config.out, out=tmp_path / "same"))
    assert "warning" not in capsys.readouterr().err
    train(replace(config, init=config.out, cohort=ours, out=tmp_path / "back"))
    assert "warning: the cohort is split by another rule" in capsys.readouterr().err


def test_every_option_that_moves_patients_is_part_of_the_rule(cohort: Path, tmp_path: Path) -> None:
    usual = BuildOptions(out=tmp_path)
    moved = (
        replace(usual, split_key="other"),
        replace(usual, split_by=SplitBy.TIME, test_from="2020-01-01"),
        replace(usual, split_by=SplitBy.TIME, test_from="2021-01-01"),
        replace(usual, split_by=SplitBy.TIME, test_from="2021-01-01", split_column="lab_time"),
        replace(usual, split_by=SplitBy.SITE, test_sites="A"),
    )
    folders = [built_with(cohort, tmp_path / str(k), options) for k, options in enumerate((usual, *moved))]
    rules = {Cohort.open(folder).splits_sha256 for folder in folders}
    assert len(rules) == len(folders)
    assert Cohort.open(cohort).splits_sha256 == ""
    assert {field.name for field in fields(BuildOptions)} - SPLIT_OPTIONS == {"out", "workers"}
