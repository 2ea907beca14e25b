"""What a run starts from: another run, or a bundle; what does not fit is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load, save
from safetensors.torch import load_file

from ecg_ka.bundle import SHIPPED, load_bundle, save_bundle
from tests.training.small_cohort import full_cohort, small_cohort
from training.checkpoint import FILE
from training.parent import Parent, licences_behind
from training.train import TrainConfig, run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("base")
    config = TrainConfig(cohort=small_cohort(folder / "cohort"), out=folder / "l1", epochs=1, batch_size=64, threads=1)
    run(config)
    return config


def test_a_hospital_goes_on_from_the_shipped_bundle(tmp_path: Path) -> None:
    """With a learning rate that moves nothing: what is left is the bundle's network, and the run says so."""
    cohort = full_cohort(tmp_path / "cohort", 60)
    config = TrainConfig(cohort=cohort, out=tmp_path / "ours", init=SHIPPED, epochs=1, head_only=True, threads=1)
    run(replace(config, learning_rate=1e-12))
    ours, theirs = load_file(tmp_path / "ours" / "weights.safetensors"), load_file(SHIPPED / "weights.safetensors")
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-6)
    after = json.loads((tmp_path / "ours" / "config.json").read_text())["after"]
    assert after["bundle"].startswith("ecg-ka-demo")
    assert after["sha256"] == Parent.open(SHIPPED).about["sha256"]


def test_the_terms_of_all_cohorts_that_weights_saw_go_along(base: TrainConfig, tmp_path: Path) -> None:
    """From a bundle or through runs: a head trained on other ECGs frees no features."""
    shipped = load_bundle()
    terms = replace(shipped.provenance, licences=("stays here",))
    save_bundle(replace(shipped, provenance=terms), tmp_path / "b")
    assert Parent.open(tmp_path / "b").about["licences"] == ["stays here"]
    saved = json.loads((base.out / "config.json").read_text())
    assert licences_behind(saved) == ()
    assert licences_behind({**saved, "after": {"licences": ["stays here"]}}) == ("stays here",)
    about = {"about": {"is_simulated": False, "licence": "ours"}}
    assert licences_behind({"cohort": about, "after": {"licences": ["stays here", "ours"]}}) == ("stays here", "ours")


def test_signals_of_another_kind_are_refused(base: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"duration_s 10\.0 there, 1\.0 here"):
        run(replace(base, out=tmp_path / "x", init=SHIPPED))
    assert not (tmp_path / "x").exists()


def test_an_ensemble_is_refused_by_name(base: TrainConfig, tmp_path: Path) -> None:
    """Its weights are those of several networks; one is trained."""
    bundle = load_bundle()
    weights = load(bundle.weights)
    twice = save({f"{number}.{name}": value for number in range(2) for name, value in weights.items()})
    save_bundle(replace(bundle, weights=twice, members=2), tmp_path / "two")
    with pytest.raises(ValueError, match=r"two is an ensemble of 2 networks.* the run folder of a member"):
        run(replace(base, out=tmp_path / "x", init=tmp_path / "two"))
    assert not (tmp_path / "x").exists()


def test_what_is_neither_or_unfinished_is_refused(base: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nor a bundle"):
        Parent.open(tmp_path)
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((base.out / name).read_bytes())
    (tmp_path / FILE).touch()
    with pytest.raises(ValueError, match="is not finished"):
        Parent.open(tmp_path)


def test_a_run_keeps_what_it_started_from_wherever_it_is_read(
    base: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--init was a relative path, and the run that it named is gone."""
    monkeypatch.chdir(base.out.parent)
    run(replace(base, out=tmp_path / "dist", init=Path(base.out.name), head_only=True))
    monkeypatch.chdir(tmp_path)
    after = json.loads((tmp_path / "dist" / "config.json").read_text())["after"]
    assert after["config"] == json.loads((base.out / "config.json").read_text())["train"]
    assert after["after"] is None
    assert Parent.open(tmp_path / "dist").signal["duration_s"] == 1.0


def test_a_head_alone_needs_features_from_somewhere(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--head-only keeps features as they are; name with --init"):
        run(TrainConfig(cohort=tmp_path, out=tmp_path / "run", head_only=True))
