"""The model bundle: one folder with weights, ONNX graph, configs, label density, calibration and hashes.

    bundle.json             every setting, the provenance, and the SHA-256 of each other file
    model.onnx              the network as it is served
    weights.safetensors     the same network for training; of several members, each name starts with the member's number
    calibration.safetensors sorted conformal scores by predicted region, true region and true band, severe bands too,
                            without identifiers or order; quantile curves of the errors
    novelty.safetensors     mean and covariance of the training ECGs' features and inputs, sorted novelty scores
    metrics.json            what the evaluation measured

No pickle anywhere. Loading is strict: an unknown or missing key, a file that differs from its hash or another format
version is an error.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from ecg_ka.errors import BundleError
from ecg_ka.estimate import ModelIdentity
from ecg_ka.policy import Policy
from ecg_ka.preprocess import SignalSpec
from ecg_ka.uncertainty import (
    LABEL_STEPS_MMOL_L,
    Calibration,
    LabelDensity,
    NoveltyModel,
    OperatingPoints,
    Regions,
    Scores,
    VarianceComponents,
)

FORMAT_VERSION = 8
SHIPPED = Path(__file__).parent / "bundles" / "demo"

_MANIFEST = "bundle.json"
_ONNX = "model.onnx"
_WEIGHTS = "weights.safetensors"
_CALIBRATION = "calibration.safetensors"
_NOVELTY = "novelty.safetensors"
_METRICS = "metrics.json"
_FILES = (_ONNX, _WEIGHTS, _CALIBRATION, _NOVELTY, _METRICS)
_SETTINGS = {"provenance", "network", "members", "signal", "regions", "density", "operating_points", "policy"}
_SETTINGS |= {"label_step_mmol_l", "wide_interval_mmol_l", "personal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How a bundle came about. ``is_simulated`` marks a model that never saw a patient; ``licences`` are the terms of
    the cohorts of patients behind it, none when all of it is simulated; ``training`` is the whole configuration of its
    training."""

    name: str
    version: str
    is_simulated: bool
    trained_on: str
    calibrated_on: str
    intended_use: str
    licences: tuple[str, ...]
    label_distribution_sha256: str
    training: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A loaded bundle. ``network`` holds the fields of ``NetworkConfig``; ``wide_interval_mmol_l`` is the width that
    95 % of the calibration ECGs stay below at level 0.9; ``members`` networks of one shape share the ONNX graph;
    ``personal`` is None when no cohort with several ECGs a patient calibrated it; ``sha256`` covers every file."""

    provenance: Provenance
    network: dict[str, Any]
    members: int
    signal: SignalSpec
    density: LabelDensity
    calibration: Calibration
    novelty: NoveltyModel
    policy: Policy
    wide_interval_mmol_l: float
    personal: VarianceComponents | None
    onnx: bytes
    weights: bytes
    metrics: dict[str, Any]
    sha256: str = ""

    @property
    def regions(self) -> Regions:
        """Edges of the many-, median- and few-shot regions."""
        return self.calibration.distribution.regions

    @property
    def sharing(self) -> str:
        """Whether the bundle may be shared, in words."""
        terms = self.provenance.licences
        return f"only as these terms allow: {' '.join(terms)}" if terms else "yes, all of it comes from simulated ECGs"

    def identity(self) -> ModelIdentity:
        """What an answer says about the model."""
        return ModelIdentity(
            name=self.provenance.name,
            version=self.provenance.version,
            sha256=self.sha256,
            preprocessing_sha256=self.signal.sha256,
            trained_on=self.provenance.trained_on,
            calibrated_on=self.provenance.calibrated_on,
            n_calibration=self.calibration.distribution.n,
            intended_use=self.provenance.intended_use,
        )


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write all files of a bundle into ``folder``, which is made when absent."""
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    measured = orjson.loads(orjson.dumps(bundle.metrics))  # null for NaN, where there was nothing to measure on
    contents = {
        _ONNX: bundle.onnx,
        _WEIGHTS: bundle.weights,
        _CALIBRATION: save(bundle.calibration.to_arrays()),
        _NOVELTY: save(bundle.novelty.to_arrays()),
        _METRICS: (json.dumps(measured, indent=1, sort_keys=True) + "\n").encode(),
    }
    manifest = {
        "format_version": FORMAT_VERSION,
        "provenance": asdict(bundle.provenance),
        "network": bundle.network,
        "members": bundle.members,
        "signal": asdict(bundle.signal),
        "regions": asdict(bundle.regions),
        "density": bundle.density.to_dict(),
        "label_step_mmol_l": bundle.calibration.distribution.label_step_mmol_l,
        "operating_points": asdict(bundle.calibration.operating_points),
        "policy": bundle.policy.to_dict(),
        "wide_interval_mmol_l": bundle.wide_interval_mmol_l,
        "personal": None if bundle.personal is None else asdict(bundle.personal),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def load_bundle(folder: Path = SHIPPED) -> Bundle:
    """Read a bundle, checking every file against its hash.

    Raises:
        BundleError: a file is absent, altered, of another version, or holds unknown or missing keys.
    """
    manifest_bytes = _read(folder / _MANIFEST)
    try:
        manifest = orjson.loads(manifest_bytes)
        version = manifest.pop("format_version")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{folder} is of format version {version!r}; expected {FORMAT_VERSION}. Export its run again with "
                "training.export, or use a matching ecg_ka"
            )
        files = _verified(folder, manifest.pop("files"))
        return _build(manifest, files, hashlib.sha256(manifest_bytes).hexdigest())
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleError(
            f"{folder / _MANIFEST} is malformed ({error!r}); expected what training.export wrote"
        ) from error


def _build(manifest: dict[str, Any], files: Mapping[str, bytes], sha256: str) -> Bundle:
    _expect_keys(manifest["density"], {"first_bin", "counts", "n_train"})
    if manifest["network"]["n_leads"] != len(manifest["signal"]["leads"]):
        raise BundleError(f"{_MANIFEST}: the network takes another number of leads than its signal spec gives")
    _expect_keys(manifest, _SETTINGS)
    if type(manifest["members"]) is not int or manifest["members"] < 1:
        raise BundleError(f"{_MANIFEST}: members is {manifest['members']!r}; expected a number of networks")
    personal, told = manifest["personal"], manifest["provenance"]
    provenance = Provenance(**told | {"licences": tuple(told["licences"])})
    return Bundle(
        provenance=provenance,
        network=manifest["network"],
        members=manifest["members"],
        signal=SignalSpec.from_dict(manifest["signal"]),
        density=LabelDensity.from_dict(manifest["density"]),
        calibration=_calibration(manifest, files),
        novelty=_novelty(files),
        policy=Policy.from_dict(manifest["policy"], is_simulated=provenance.is_simulated),
        wide_interval_mmol_l=_width(manifest["wide_interval_mmol_l"]),
        personal=None if personal is None else VarianceComponents(**personal),
        onnx=files[_ONNX],
        weights=files[_WEIGHTS],
        metrics=orjson.loads(files[_METRICS]),
        sha256=sha256,
    )


def _calibration(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Calibration:
    points, step = OperatingPoints(**manifest["operating_points"]), _label_step(manifest["label_step_mmol_l"])
    try:
        return Calibration.from_arrays(_arrays(files, _CALIBRATION), Regions(**manifest["regions"]), step, points)
    except ValueError as error:
        raise BundleError(f"{_CALIBRATION}: {error}. Export the run again with training.export") from error


def _label_step(saved: object) -> float:
    if isinstance(saved, bool) or not isinstance(saved, int | float) or saved not in LABEL_STEPS_MMOL_L:
        expected = ", ".join(f"{step:g}" for step in LABEL_STEPS_MMOL_L)
        raise BundleError(f"{_MANIFEST}: label_step_mmol_l is {str(saved)[:40]!r}; expected one of {expected}")
    return float(saved)


def _width(saved: object) -> float:
    width = float(str(saved))
    if not 0 < width < math.inf:
        raise BundleError(f"{_MANIFEST}: wide_interval_mmol_l is {saved!r}; expected a width in mmol/L")
    return width


def _novelty(files: Mapping[str, bytes]) -> NoveltyModel:
    try:
        return NoveltyModel.from_arrays(_arrays(files, _NOVELTY))
    except ValueError as error:
        raise BundleError(f"{_NOVELTY}: {error}. Export the run again with training.export") from error


def _arrays(files: Mapping[str, bytes], name: str) -> dict[str, Scores]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(files[name]))
    except SafetensorError as error:
        raise BundleError(f"{name} cannot be read: {error}") from error


def _verified(folder: Path, hashes: Mapping[str, str]) -> dict[str, bytes]:
    _expect_keys(hashes, set(_FILES))
    contents = {name: _read(folder / name) for name in _FILES}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != hashes[name]:
            raise BundleError(f"{folder / name} differs from its hash in {_MANIFEST}; fetch the bundle again")
    return contents


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"cannot read {path} ({error.strerror}); expected a bundle folder with {_MANIFEST}"
        ) from error


def _expect_keys(found: Mapping[str, object], expected: set[str]) -> None:
    if set(found) != expected:
        raise BundleError(f"{_MANIFEST} has keys {sorted(found)}; expected {sorted(expected)}")
