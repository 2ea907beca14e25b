"""From a run to a bundle: calibrate on the calibration split, evaluate on the test split, write the model card.

python -m training.export --run runs/dist --reference runs/l1 --cohort cohorts/demo --out ecg_ka/bundles/demo
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ecg_ka.bundle import Bundle, Provenance, load_bundle, save_bundle
from ecg_ka.losses import LabelDistribution
from ecg_ka.network import NetworkConfig, PotassiumNet, n_parameters
from ecg_ka.policy import Policy
from ecg_ka.preprocess import SignalSpec
from ecg_ka.uncertainty import Calibration, LabelDensity, Regions, VarianceComponents
from training.calibrate import curves_of_errors, licences_of, variance_components, wide_interval
from training.card import model_card
from training.cohort import Cohort, Split
from training.config import execute
from training.ensemble import Ensemble, ServedEnsemble, joined
from training.evaluate import evaluate
from training.novelty import fit_novelty
from training.parent import licences_behind
from training.references import write_where_possible
from training.run_folder import RunFolder
from training.train import load_weights, predict


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """Make a bundle from a training run."""

    run: Path = field(metadata={"help": "run folder to export"})
    cohort: Path = field(metadata={"help": "cohort with calibration and test splits"})
    out: Path = field(metadata={"help": "bundle folder to write"})
    members: str = field(default="", metadata={"help": "further run folders, by commas: members of an ensemble"})
    reference: Path | None = field(default=None, metadata={"help": "run folder of the L1 model to compare with"})
    natural: Path | None = field(
        default=None, metadata={"help": "cohort before enrichment, whose labels say how dense they lie"}
    )
    repeats: Path | None = field(
        default=None, metadata={"help": "cohort of other patients with several ECGs, for personal calibration"}
    )
    name: str = field(default="ecg-ka-demo", metadata={"help": "name of the model in every answer"})
    version: str = field(default="0.1.0", metadata={"help": "version of the model in every answer"})


def main() -> None:
    """Entry point of ``python -m training.export``."""
    execute(ExportConfig, _told)


def _told(config: ExportConfig) -> None:
    bundle = export(config)
    print(f"{bundle.provenance.name} {bundle.provenance.version}, sha256 {bundle.sha256}")


def export(config: ExportConfig) -> Bundle:
    """Calibrate, evaluate, write the bundle and its MODEL_CARD.md; returns the bundle as read back.

    Raises:
        FileNotFoundError, ValueError: cohort or run is missing, or they do not belong together.
    """
    cohort = Cohort.open(config.cohort)
    cohort.refuse_other_label()
    runs = [config.run, *map(Path, filter(None, config.members.split(",")))]
    provenance = _provenance(config, cohort, [_saved(run, cohort) for run in runs])  # first: evaluation takes minutes
    members = [load_network(run) for run in runs]
    network = joined(members)
    pairs = predict(network, cohort, cohort.rows(Split.CALIBRATION))
    calibration = Calibration.fit(pairs, curves_of_errors(network, cohort), Regions())
    reference = None if config.reference is None else load_network(config.reference)
    metrics = evaluate(network, reference, calibration, cohort)
    metrics["parameters"] = n_parameters(network)
    bundle = Bundle(
        provenance=provenance,
        network=asdict(network.config),
        members=len(members),
        signal=_signal_spec(cohort),
        density=_density(cohort, cohort if config.natural is None else Cohort.open(config.natural)),
        calibration=calibration,
        novelty=fit_novelty(members[0], cohort),
        policy=Policy.for_model(is_simulated=provenance.is_simulated),
        wide_interval_mmol_l=wide_interval(calibration.distribution, pairs),
        personal=_personal(network, config, cohort),
        onnx=to_onnx(network, _signal_spec(cohort)),
        weights=save({k.removeprefix("members."): v.contiguous() for k, v in network.state_dict().items()}),
        metrics=metrics,
    )
    save_bundle(bundle, config.out)
    write_where_possible(config.out)
    saved = load_bundle(config.out)
    (config.out / "MODEL_CARD.md").write_text(model_card(saved))
    return saved


def load_network(run: Path) -> PotassiumNet:
    """The network of a run, in evaluation mode on the CPU."""
    saved = json.loads((run / "config.json").read_text())["network"]
    network = PotassiumNet(NetworkConfig.from_dict(saved))
    load_weights(network, run)
    return network.eval()


def to_onnx(network: PotassiumNet, spec: SignalSpec) -> bytes:
    """The network as an ONNX graph: ``signal_mv`` (batch, leads, T) -> potassium_mmol_l, spread_mmol_l, peaks, and of
    an ensemble epistemic_sd_mmol_l.

    The exporter that traces is used on purpose: the newer one needs a package that GPU machines lack, and both give
    the same graph for a network of convolutions.
    """
    names = ["potassium_mmol_l", "spread_mmol_l", "peaks"]
    served: torch.nn.Module = network.eval()
    if isinstance(network, Ensemble):
        names, served = [*names, "epistemic_sd_mmol_l"], ServedEnsemble(network).eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            served,
            (torch.zeros(2, len(spec.leads), spec.n_samples),),
            buffer,  # type: ignore[arg-type]  # the stub forgets that the tracing exporter takes streams
            input_names=["signal_mv"],
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in ["signal_mv", *names]},
            opset_version=17,
            dynamo=False,
        )
    return buffer.getvalue()


def _saved(run: Path, cohort: Cohort) -> dict[str, Any]:
    """The config.json of a finished run on this cohort. On another one, patients who trained the network could be among
    those that calibrate and test it, and the bundle would state labels and terms that are not its own.

    Raises:
        FileNotFoundError, ValueError: there is no such run, it is not finished, or had another cohort.
    """
    if not (run / "config.json").is_file():
        raise FileNotFoundError(f"{run} holds no run of training.train; name one with --run")
    if not RunFolder(run).is_finished:
        raise ValueError(f"{run} is not finished; give its command again first")
    saved: dict[str, Any] = json.loads((run / "config.json").read_text())
    if saved["cohort"].get("sha256") != cohort.about["sha256"]:
        raise ValueError(
            f"{run} was trained on another cohort ({saved['train']['cohort']}); give that one with --cohort, and "
            "calibrate the bundle on this one with training.calibrate"
        )
    return saved


def _provenance(config: ExportConfig, cohort: Cohort, runs: Sequence[Mapping[str, Any]]) -> Provenance:
    about = cohort.about["about"]
    train = cohort.labels(cohort.rows(Split.TRAIN))
    others = licences_of(*(Cohort.open(folder) for folder in (config.natural, config.repeats) if folder is not None))
    return Provenance(
        name=config.name,
        version=config.version,
        is_simulated=bool(about["is_simulated"]),
        trained_on=f"{len(train)} ECGs: {about['description']}{_features_of(runs[0], about['description'])}",
        calibrated_on=f"{len(cohort.rows(Split.CALIBRATION))} ECGs of other patients: {about['description']}",
        intended_use="Research use only, not a medical device. "
        + ("Demonstrates the software; its numbers say nothing about patients." if about["is_simulated"] else ""),
        licences=tuple(dict.fromkeys([*chain.from_iterable(map(licences_behind, runs)), *others])),
        label_distribution_sha256=LabelDistribution.from_labels(train).sha256,
        training={"config": runs[0]["train"], "after": runs[0]["after"], "splits_sha256": cohort.splits_sha256},
    )


def _personal(network: PotassiumNet, config: ExportConfig, cohort: Cohort) -> VarianceComponents | None:
    """From a cohort of its own, none of whose patients trained the network, but its test split; or from the calibration
    split."""
    if config.repeats is None:
        return variance_components(network, cohort, [Split.CALIBRATION])
    return variance_components(network, Cohort.open(config.repeats), [s for s in Split if s is not Split.TEST])


def _density(cohort: Cohort, natural: Cohort) -> LabelDensity:
    n_train = len(cohort.first_rows(Split.TRAIN))
    return LabelDensity.from_labels(natural.labels(natural.first_rows(Split.TRAIN)), n_train)


def _features_of(run: Mapping[str, Any], description: str) -> str:
    """What else the features were trained on, where the head was retrained on another cohort."""
    after = run["after"] or {}
    other = after.get("cohort")
    return f"; features from {other}" if other and other != description else ""


def _signal_spec(cohort: Cohort) -> SignalSpec:
    return SignalSpec.from_dict(cohort.about["signal"])


if __name__ == "__main__":
    main()
