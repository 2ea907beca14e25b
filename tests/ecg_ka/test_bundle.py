"""The bundle: what is saved is loaded, and anything altered is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ecg_ka import SHIPPED, BundleError, Estimator
from ecg_ka.bundle import load_bundle, save_bundle


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))


def edit(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(manifest | changes))


def test_the_shipped_bundle_is_small_a_demonstration_and_has_its_card() -> None:
    bundle = load_bundle()
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 8 * 2**20
    assert bundle.provenance.is_simulated
    card = (SHIPPED / "MODEL_CARD.md").read_text()
    assert bundle.sha256 in card
    assert "DEMO_MODEL" in card
    assert "Research use only, not a medical device" in card


def test_saving_and_loading_gives_the_same_bundle(tmp_path: Path) -> None:
    shipped = load_bundle()
    save_bundle(shipped, tmp_path / "again")
    assert load_bundle(tmp_path / "again").sha256 == shipped.sha256


@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors", "calibration.safetensors", "metrics.json"])
def test_a_changed_or_absent_file_is_refused_by_name(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=f"{name} differs from its hash"):
        load_bundle(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": 2},
        {"surprise": 1},
        {"signal": {"low_pas_hz": 40}},
        {"regions": {"few_low": 3.2, "x": 1}},
        {"density": {}},
        {"files": {}},
        {"wide_interval_mmol_l": "wide"},
    ],
)
def test_unknown_or_missing_keys_are_fatal(copy: Path, changes: dict[str, object]) -> None:
    edit(copy, **changes)
    with pytest.raises(BundleError):
        load_bundle(copy)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"files": 3}'])
def test_a_broken_manifest_is_refused(copy: Path, text: str) -> None:
    (copy / "bundle.json").write_text(text)
    with pytest.raises(BundleError):
        load_bundle(copy)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="expected a bundle folder"):
        Estimator.load(tmp_path)
