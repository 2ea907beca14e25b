"""Rewrite the calibration of a bundle from ECGs of the place where it is to answer; the network stays as it is.

    python -m training.calibrate --bundle ecg_ka/bundles/demo --cohort cohorts/ours --out bundles/ours --of unseen

One ECG a patient calibrates and tests, since several of one patient are not exchangeable with a new patient's. The
patients with several ECGs, of the same cohort or of ``--repeats``, give the variance components of personal
calibration. What is printed: how many ECGs calibrated each band, and which band is in every answer for lack of them.

The quantile curves, which say how errors change with the estimate, come from the validation split where that has 1,000
ECGs, one a patient; else those of the bundle stay. The validation split never calibrates, because what the calibration
guarantees rests on curves of other ECGs: split one place by the same key each time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load

from ecg_ka.bundle import Bundle, Provenance, load_bundle, save_bundle
from ecg_ka.losses import LabelDistribution
from ecg_ka.network import NetworkConfig, PotassiumNet
from ecg_ka.uncertainty import Calibration, ConformalDistribution, Pairs, QuantileCurves, VarianceComponents
from ecg_ka.uncertainty.label_conditional import least_calibration
from training.answers import answers_for
from training.card import CALIBRATED_ON, model_card
from training.cohort import Cohort, Split
from training.config import execute
from training.ensemble import joined
from training.guarantees import guarantees
from training.novelty import seen
from training.references import write_where_possible
from training.train import predict

LEAST_FOR_CURVES = 1000
"""From fewer validation ECGs the curves are too rough, and those of the bundle stay: figures in training/LOG.md."""

_ANEW = "+calibrated"  # so that answers tell it from what training.export made

WIDE_SHARE = 0.95  # of the calibration ECGs have a narrower interval than one that is called wide


class Of(StrEnum):
    """Which patients calibrate: the calibration split alone, or the training split too when the network has seen none
    of them."""

    CALIBRATION = "calibration"
    UNSEEN = "unseen"

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits whose patients calibrate."""
        match self:
            case Of.CALIBRATION:
                return (Split.CALIBRATION,)
            case Of.UNSEEN:
                return (Split.TRAIN, Split.CALIBRATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateConfig:
    """Calibrate a bundle anew, and measure what that holds on the test split of the same cohort."""

    bundle: Path = field(metadata={"help": "bundle folder whose network to keep"})
    cohort: Path = field(metadata={"help": "cohort of the place where the bundle is to answer"})
    out: Path = field(metadata={"help": "bundle folder to write; must be new or empty"})
    of: Of = field(
        default=Of.CALIBRATION,
        metadata={"help": "patients that calibrate: the calibration split, or also a training split never trained on"},
    )
    repeats: Path | None = field(
        default=None,
        metadata={"help": "cohort with several ECGs a patient, for personal calibration; default: --cohort"},
    )
    version: str = field(
        default="", metadata={"help": f"version in every answer; default: that of the bundle with {_ANEW}"}
    )


def main() -> None:
    """Entry point of ``python -m training.calibrate``."""
    execute(CalibrateConfig, calibrate)


def calibrate(config: CalibrateConfig) -> Bundle:
    """Write the bundle and its MODEL_CARD.md, and say which bands lack ECGs; returns the bundle as read back.

    Raises:
        FileExistsError: the output folder holds something.
        ValueError: the cohort does not fit the bundle, or the network was trained on its patients.
    """
    if config.out.exists() and any(config.out.iterdir()):
        raise FileExistsError(f"{config.out} holds something already; name another folder with --out or delete it")
    bundle, cohort = load_bundle(config.bundle), Cohort.open(config.cohort)
    _refuse_misfit(bundle, cohort, config.of)
    members = members_of(bundle)
    network = joined(members)
    rows = _rows(cohort, config.of)
    pairs = predict(network, cohort, rows)
    calibration = Calibration.fit(pairs, _curves(network, cohort, bundle), bundle.regions)
    print(_told(calibration))
    repeats = cohort if config.repeats is None else Cohort.open(config.repeats)
    personal = variance_components(network, repeats, config.of.splits)
    print(_told_of_patients(personal))
    test = predict(network, cohort, cohort.rows(Split.TEST))
    save_bundle(
        replace(
            bundle,
            provenance=_provenance(bundle, cohort, len(rows), repeats, config.version),
            calibration=calibration,
            novelty=bundle.novelty.calibrated(*seen(members[0], cohort, rows)),
            wide_interval_mmol_l=wide_interval(calibration.distribution, pairs),
            personal=personal,
            metrics=bundle.metrics
            | guarantees(test.labels, answers_for(test, calibration), calibration)
            | {CALIBRATED_ON: _about(cohort, len(test.labels))},
        ),
        config.out,
    )
    write_where_possible(config.out)
    saved = load_bundle(config.out)
    (config.out / "MODEL_CARD.md").write_text(model_card(saved))
    return saved


def members_of(bundle: Bundle) -> list[PotassiumNet]:
    """The networks of a bundle, in evaluation mode on the CPU."""
    weights, members = load(bundle.weights), []
    for number in range(bundle.members):
        start = f"{number}." if bundle.members > 1 else ""
        network = PotassiumNet(NetworkConfig.from_dict(bundle.network))
        network.load_state_dict({k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)})
        members.append(network.eval())
    return members


def curves_of_errors(network: PotassiumNet, cohort: Cohort) -> QuantileCurves:
    """From the validation split, one ECG a patient: none of them calibrates."""
    return QuantileCurves.fit(predict(network, cohort, cohort.first_rows(Split.VALIDATION)))


def variance_components(network: PotassiumNet, cohort: Cohort, splits: Collection[Split]) -> VarianceComponents | None:
    """From all ECGs of the patients of some splits; None when too few of them have several."""
    rows = np.flatnonzero(np.isin(cohort.index["split"], [*splits]))
    patients = cohort.index["patient"][rows]
    _, who, n = np.unique(patients, return_inverse=True, return_counts=True)
    rows = rows[n[who] > 1]
    if not len(rows):
        return None
    found = predict(network, cohort, rows)
    return VarianceComponents.fit(cohort.index["patient"][rows], found.estimates, found.labels)


def wide_interval(distribution: ConformalDistribution, pairs: Pairs) -> float:
    """The width in mmol/L that the intervals of most calibration ECGs stay below."""
    widths = [
        (interval := distribution.predict(estimate, spread).interval(0.9)).upper - interval.lower
        for estimate, spread in zip(pairs.estimates, pairs.spreads, strict=True)
    ]
    return float(np.quantile(widths, WIDE_SHARE))


def licences_of(*cohorts: Cohort) -> tuple[str, ...]:
    """The terms of cohorts of patients, each once; none of simulated ones."""
    about = [cohort.about["about"] for cohort in cohorts]
    return tuple(dict.fromkeys(str(a.get("licence", "not stated")) for a in about if not a["is_simulated"]))


def _rows(cohort: Cohort, of: Of) -> NDArray[np.int64]:
    return np.sort(np.concatenate([cohort.first_rows(split) for split in of.splits]))


def _curves(network: PotassiumNet, cohort: Cohort, bundle: Bundle) -> QuantileCurves:
    n = len(cohort.first_rows(Split.VALIDATION))
    if n < LEAST_FOR_CURVES:
        print(f"curves of errors as in the bundle: {n} validation ECGs, fewer than {LEAST_FOR_CURVES:,}")
        return bundle.calibration.distribution.curves
    return curves_of_errors(network, cohort)


def _refuse_misfit(bundle: Bundle, cohort: Cohort, of: Of) -> None:
    if cohort.about["signal_sha256"] != bundle.signal.sha256:
        raise ValueError("the signals of the cohort are not what the network takes; build it again with this ecg_ka")
    if cohort.about["about"]["is_simulated"] and not bundle.provenance.is_simulated:
        raise ValueError("a model of patients cannot be calibrated on simulated ECGs; give a cohort of patients")
    if of is Of.CALIBRATION:
        but = "if none of its patients trained the bundle, say --of unseen"
        cohort.refuse_other_splits(bundle.provenance.training, but)
    train = cohort.rows(Split.TRAIN)
    if of is Of.UNSEEN and len(train):
        labels = LabelDistribution.from_labels(cohort.labels(train))
        if labels.sha256 == bundle.provenance.label_distribution_sha256:
            raise ValueError("the network was trained on this cohort; only --of calibration is free of it")
    if not len(_rows(cohort, of)) or not len(cohort.rows(Split.TEST)):
        raise ValueError("no patient is left to calibrate on, or none to test on; give a larger cohort")


def _about(cohort: Cohort, n_test: int) -> dict[str, Any]:
    about = cohort.about["about"]
    return {"description": about["description"], "is_simulated": bool(about["is_simulated"]), "n_test": n_test}


def _provenance(bundle: Bundle, cohort: Cohort, n: int, repeats: Cohort, version: str) -> Provenance:
    about = cohort.about["about"]
    licences = dict.fromkeys([*bundle.provenance.licences, *licences_of(cohort, repeats)])
    return replace(
        bundle.provenance,
        version=version or bundle.provenance.version.removesuffix(_ANEW) + _ANEW,
        calibrated_on=f"{n} ECGs, one a patient, that the network never saw: {about['description']}",
        licences=tuple(licences),
    )


def _told(calibration: Calibration) -> str:
    by_label, step = calibration.label_conditional, calibration.distribution.label_step_mmol_l
    lines = [f"labels are recorded in steps of {step:g} mmol/L" if step else "labels are recorded on no grid"]
    lines += [f"{band.words}: {n} calibration ECGs" for band, n in by_label.calibrated().items()]
    lines += [
        f"{band.words} is in every answer: {n} calibration ECGs, fewer than {least_calibration()}"
        for band, n in by_label.always_kept().items()
    ]
    return "\n".join(lines)


def _told_of_patients(personal: VarianceComponents | None) -> str:
    if personal is None:
        return "no personal calibration: too few patients with several ECGs"
    return (
        f"{personal.n_patients} patients with several ECGs: SD {personal.between**0.5:.3f} mmol/L between patients, "
        f"{personal.within**0.5:.3f} within"
    )


if __name__ == "__main__":
    main()
