"""Reference ECGs: what a bundle answered where it was made, it has to answer everywhere."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecg_ka import SHIPPED, BundleError, Estimator
from ecg_ka.bundle import load_bundle, save_bundle
from ecg_ka.policy import Policy
from ecg_ka.references import FILE, NUMBERS, TOLERANCE, load_references
from ecg_ka.uncertainty import Calibration


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))


def stored(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / FILE) as found:
        return dict(found)


def test_the_shipped_bundle_answers_as_where_it_was_made() -> None:
    """When this fails after a change of the signal path, the bundle has to be exported again."""
    bundle = load_bundle()
    references = load_references(SHIPPED, bundle.sha256)
    assert references is not None
    assert references.largest_difference(Estimator(bundle)) < TOLERANCE / 10
    network, novelty, estimate = (references.answers[:, NUMBERS.index(n)] for n in ("network", "novelty", "estimate"))
    assert (estimate == network).all()
    assert (np.diff(estimate) > 0).all()  # the ECGs rise in potassium from 2.8 to 6.8
    assert (novelty < 1).all()


def test_another_calibration_is_noticed(copy: Path) -> None:
    bundle = load_bundle(copy)
    calibration = bundle.calibration
    wider = {name: 1.1 * scores for name, scores in calibration.to_arrays().items()}
    step = calibration.distribution.label_step_mmol_l
    other = Calibration.from_arrays(wider, bundle.regions, step, calibration.operating_points)
    references = load_references(copy, bundle.sha256)
    assert references is not None
    with pytest.raises(BundleError, match=r"reference ECG \d gives (median|lower|upper)"):
        references.largest_difference(Estimator(replace(bundle, calibration=other)))


def test_a_value_that_is_withheld_now_is_noticed() -> None:
    """The shipped bundle, under the policy of a model of patients that takes every ECG for novel."""
    bundle = load_bundle()
    references = load_references(SHIPPED, bundle.sha256)
    assert references is not None
    policy = replace(Policy.for_model(is_simulated=False), novelty_p=0.999)
    with pytest.raises(BundleError, match="gives estimate nan"):
        references.largest_difference(Estimator(replace(bundle, policy=policy)))


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"\x93NUMPY"])
def test_a_malformed_file_is_refused(copy: Path, content: bytes) -> None:
    (copy / FILE).write_bytes(content)
    with pytest.raises(BundleError, match="malformed"):
        load_references(copy, "any")


def test_references_of_another_bundle_are_refused(copy: Path, tmp_path: Path) -> None:
    bundle = load_bundle(copy)
    save_bundle(replace(bundle, provenance=replace(bundle.provenance, version="9")), copy)
    with pytest.raises(BundleError, match="belongs to the bundle"):
        load_references(copy, load_bundle(copy).sha256)


@pytest.mark.parametrize("name", ["steps", "answers"])
def test_fewer_rows_on_one_side_are_refused(copy: Path, name: str) -> None:
    arrays = stored(copy)
    arrays[name] = arrays[name][:2]
    np.savez(copy / FILE, allow_pickle=False, **arrays)
    with pytest.raises(BundleError, match="other shapes"):
        load_references(copy, load_bundle(copy).sha256)


def test_a_bundle_without_them_has_none(copy: Path) -> None:
    (copy / FILE).unlink()
    assert load_references(copy, load_bundle(copy).sha256) is None
