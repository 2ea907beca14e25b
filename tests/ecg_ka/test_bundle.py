"""The bundle: what is saved is loaded, and anything altered is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from ecg_ka import SHIPPED, BundleError, Estimator
from ecg_ka.bundle import load_bundle, save_bundle
from ecg_ka.uncertainty import NoveltyModel
from ecg_ka.uncertainty.conformal import LABEL_STEPS_MMOL_L


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


def test_the_shipped_bundle_holds_on_its_test_split_what_it_promises() -> None:
    """Less 3 standard errors of the rarest group; the marginal interval promises nothing for high values, and shows
    it."""
    m = load_bundle().metrics
    regions = ("few_low", "median_low", "many", "median_high", "few_high")
    by_label, marginal = (m[key]["by_true_value"] for key in ("intervals_label_conditional", "intervals"))
    assert all(by_label[name]["coverage"] >= 0.9 - 3 * (0.09 / by_label[name]["n"]) ** 0.5 for name in regions)
    assert all(b["in_set"] >= 0.95 - 3 * (0.0475 / b["n"]) ** 0.5 for b in m["bands"]["by_true_band"].values())
    assert all(alarm["false_alarms"] <= 0.115 for alarm in m["alarms"].values())
    assert marginal["5_5_and_above"]["coverage"] < 0.7
    assert marginal["5_5_and_above"]["coverage"] + 0.15 < by_label["5_5_and_above"]["coverage"]


def test_saving_and_loading_gives_the_same_bundle(tmp_path: Path) -> None:
    shipped = load_bundle()
    save_bundle(shipped, tmp_path / "again")
    assert load_bundle(tmp_path / "again").sha256 == shipped.sha256


@pytest.mark.parametrize("step", LABEL_STEPS_MMOL_L)
def test_the_step_of_the_labels_is_kept(tmp_path: Path, step: float) -> None:
    shipped = load_bundle()
    distribution = replace(shipped.calibration.distribution, label_step_mmol_l=step)
    save_bundle(replace(shipped, calibration=replace(shipped.calibration, distribution=distribution)), tmp_path)
    assert load_bundle(tmp_path).calibration.distribution.label_step_mmol_l == step


@pytest.mark.parametrize(
    "name", ["model.onnx", "weights.safetensors", "calibration.safetensors", "novelty.safetensors", "metrics.json"]
)
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
        {"format_version": 9},
        {"format_version": "8"},
        {"personal": {"intercept": 1.0}},
        {"personal": {"intercept": 1.0, "slope": 0.7, "between": -0.2, "within": 0.1, "n_patients": 200}},
        {"members": 0},
        {"policy": {"withhold": [], "novelty_p": 0.0}},
        {"policy": {"withhold": ["NO_SUCH_FLAG"], "novelty_p": 0.05}},
        {"policy": {"withhold": ["OUT_OF_DISTRIBUTION"], "novelty_p": 0.05}},
        {"operating_points": {"at_least_5_5": 0.1}},
        {"operating_points": {"at_least_5_5": 0.1, "below_3_5": 1.5}},
        {"surprise": 1},
        {"signal": {"low_pas_hz": 40}},
        {"regions": {"few_low": 3.2, "x": 1}},
        {"regions": {"few_low": 3.2, "many_low": 3.6, "many_high": 4.6, "few_high": float("inf")}},
        {"regions": {"few_low": float("nan")}},
        {"density": {}},
        {"density": {"first_bin": 20, "counts": [3, -1], "n_train": 2}},
        {"density": {"first_bin": 20, "counts": [0], "n_train": 2}},
        {"density": {"first_bin": 20, "counts": [[1]], "n_train": 2}},
        {"density": {"first_bin": 20, "counts": [1], "n_train": 0}},
        {"density": {"first_bin": 20, "counts": [10**30], "n_train": 1}},
        {"personal": {"intercept": 1.0, "slope": 0.7, "between": float("inf"), "within": 0.1, "n_patients": 200}},
        {"personal": {"intercept": 1.0, "slope": 0.7, "between": 0.2, "within": float("inf"), "n_patients": 200}},
        {"wide_interval_mmol_l": float("nan")},
        {"wide_interval_mmol_l": -1.0},
        {"files": {}},
        {"label_step_mmol_l": float("nan")},
        {"label_step_mmol_l": float("inf")},
        {"label_step_mmol_l": -0.1},
        {"label_step_mmol_l": 0.05},
        {"label_step_mmol_l": 10**400},
        {"label_step_mmol_l": False},
        {"label_step_mmol_l": None},
        {"label_step_mmol_l": [0.1]},
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


def test_a_bundle_of_the_format_before_says_what_to_do(copy: Path) -> None:
    edit(copy, format_version=7)
    with pytest.raises(BundleError, match=r"format version 7; expected 8\. Export its run again"):
        load_bundle(copy)


def test_a_graph_that_does_not_give_what_the_rest_takes_is_refused() -> None:
    shipped = load_bundle()
    with pytest.raises(BundleError, match=r"does not give \['epistemic_sd_mmol_l'\]"):
        Estimator(replace(shipped, members=3))
    parts = shipped.novelty.to_arrays()
    fewer = {name: parts[name][:-1] for name in ("mean", "scale")} | {"correlation": parts["correlation"][:-1, :-1]}
    with pytest.raises(BundleError, match="gives 80 peaks; the novelty part takes 79"):
        Estimator(replace(shipped, novelty=NoveltyModel.from_arrays(parts | fewer)))


Arrays = dict[str, NDArray[np.float32]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a: {k: v for k, v in a.items() if k != "true_4"}, r"missing \['true_4'\]"),
        (lambda a: {k: v for k, v in a.items() if k != "band_below_3_5"}, r"missing \['band_below_3_5'\]"),
        (lambda a: {k: v for k, v in a.items() if k != "severe_6_5_and_above"}, r"missing \['severe_6_5_and_above'\]"),
        (lambda a: {**a, "patients": a["true_4"]}, r"unknown \['patients'\]"),
        (lambda a: {**a, "predicted_5": a["predicted_4"]}, r"unknown \['predicted_5'\]"),
        (lambda a: {**a, "true_4": a["true_4"][::-1].copy()}, "not finite and ascending"),
        (lambda a: {**a, "true_4": a["true_4"].astype(np.float64)}, "not finite and ascending float32"),
        (lambda a: {**a, "true_2": -a["true_2"][::-1].copy()}, "'2' begin at .* not below 0"),
        (lambda a: {**a, "band_below_3_5": a["band_below_3_5"] - 9}, "not below 0"),
        (lambda a: {**a, "predicted_all": a["predicted_all"][:0]}, r"no calibration ECG has a score in \['all'\]"),
        (lambda a: {**a, "predicted_4": a["predicted_4"][:0]}, r"in \['4'\]"),
        (lambda a: {**a, "reach_marginal": np.array([np.nan], np.float32)}, "not finite"),
        (
            lambda a: {**a, "curve_knots": a["curve_knots"][::-1].copy()},
            "knots of the curves are not rising",
        ),
        (lambda a: {**a, "curve_quantiles": a["curve_quantiles"][1:]}, "curves of shapes"),
    ],
)
def test_calibration_that_is_not_whole_and_sorted_is_refused(
    copy: Path, change: Callable[[Arrays], Arrays], told: str
) -> None:
    content = save(change(load_bundle(copy).calibration.to_arrays()))
    (copy / "calibration.safetensors").write_bytes(content)
    files = json.loads((copy / "bundle.json").read_text())["files"]
    edit(copy, files=files | {"calibration.safetensors": hashlib.sha256(content).hexdigest()})
    with pytest.raises(BundleError, match=told):
        load_bundle(copy)


def test_calibration_tells_of_no_single_ecg(copy: Path) -> None:
    """Nothing but sorted rows of numbers, so that no two of them can be joined, and curves of a few knots."""
    for name, scores in load_bundle(copy).calibration.to_arrays().items():
        assert (scores.shape[1] == 15 and len(scores) < 30) if name == "curve_quantiles" else scores.ndim == 1, name
        assert (np.diff(scores) >= 0).all(), name
