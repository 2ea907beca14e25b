"""training.calibrate: only the calibration is written anew, one ECG a patient, and the terms of the cohort go along."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecg_ka.bundle import SHIPPED, load_bundle, save_bundle
from ecg_ka.estimate import SevereBand
from ecg_ka.estimator import Estimator
from ecg_ka.policy import Policy
from ecg_ka.preprocess import ModelInput
from ecg_ka.uncertainty import Pairs, QuantileCurves
from training import calibrate as module
from training.calibrate import CalibrateConfig, Of, calibrate, curves_of_errors, licences_of, members_of
from training.card import CALIBRATED_ON, model_card
from training.cohort import Cohort, Split
from training.cohort.simulated import SimulatedConfig, build
from training.novelty import seen
from training.train import predict


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrate") / "c"
    build(SimulatedConfig(out=folder, patients=160, visits=2, workers=1, seed=77))
    return folder


def test_calibration_is_new_the_network_is_not_and_too_rare_bands_are_told(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "b"
    made = calibrate(CalibrateConfig(bundle=SHIPPED, cohort=cohort, out=out, of=Of.UNSEEN))
    shipped, opened = load_bundle(), Cohort.open(cohort)
    assert (made.onnx, made.weights, made.signal) == (shipped.onnx, shipped.weights, shipped.signal)
    patients = opened.index["patient"][np.isin(opened.index["split"], ("train", "calibration"))]
    n = len(np.unique(patients))
    assert made.calibration.distribution.n == n < len(patients)
    assert made.personal is not None
    assert made.personal.n_patients == n
    assert made.provenance.calibrated_on.startswith(f"{n} ECGs, one a patient")
    assert made.metrics["model"] == shipped.metrics["model"]
    assert made.metrics["bands"]["by_true_band"]["3_5_to_5_4"]["n"] < 160 - n + 1
    told = capsys.readouterr().out
    rare = made.calibration.label_conditional.always_kept()
    assert SevereBand.FROM_6_5 in rare
    assert all(
        f"{band.words} is in every answer: {k} calibration ECGs, fewer than 19" in told for band, k in rare.items()
    )
    card = (out / "MODEL_CARD.md").read_text()
    assert made.sha256 in card
    assert made.provenance.version == f"{shipped.provenance.version}+calibrated"
    n_test = len(opened.first_rows(Split.TEST))
    assert f"measured on {n_test:,} ECGs of the test split of simulated" in card
    assert "Every figure below is simulated" in card


def test_the_card_of_a_bundle_calibrated_on_patients_says_which_figures_are_simulated() -> None:
    shipped = load_bundle()
    about = {"description": "ECGs of our ward", "is_simulated": False, "n_test": 1234}
    card = model_card(replace(shipped, metrics={**shipped.metrics, CALIBRATED_ON: about}))
    assert "Every figure below is simulated" not in card
    assert "those of intervals, bands and alarms were measured on the cohort that calibrated the bundle" in card
    intervals = card[card.index("## Intervals") : card.index("## Bands")]
    assert "measured on 1,234 ECGs of the test split of ECGs of our ward" in intervals


def test_pairs_are_what_the_served_graph_gives_beside_the_labels(cohort: Path) -> None:
    bundle, opened = load_bundle(), Cohort.open(cohort)
    rows, estimator = opened.rows(Split.CALIBRATION)[:5], Estimator(bundle)
    pairs = predict(members_of(bundle)[0], opened, rows)
    served = [estimator.infer(given(opened, row)) for row in rows]
    np.testing.assert_allclose(np.column_stack([pairs.estimates, pairs.spreads]), served, atol=1e-3)
    np.testing.assert_array_equal(pairs.labels, opened.labels(rows))


def given(cohort: Cohort, row: np.int64) -> ModelInput:
    """The input of one ECG of a cohort."""
    signal_mv = cohort.signal_mv(np.array([row]))[0]
    return ModelInput(signal_mv=signal_mv, lead_mask=np.ones(8, dtype=bool), flags=frozenset())


def test_novelty_is_calibrated_on_what_an_answer_is_told_by(cohort: Path) -> None:
    """The same peaks and fingerprints as the served graph gives for these inputs."""
    bundle, opened = load_bundle(), Cohort.open(cohort)
    rows, estimator = opened.rows(Split.CALIBRATION)[:5], Estimator(bundle)
    peaks, found = seen(members_of(bundle)[0], opened, rows)
    for row, own, print_ in zip(rows, peaks, found, strict=True):
        outputs = estimator.outputs(given(opened, row))
        np.testing.assert_allclose(own, outputs.peaks, atol=1e-3)
        distance = estimator.novelty(given(opened, row), outputs).distance
        assert bundle.novelty.distance(own, print_) == pytest.approx(distance, rel=1e-3)


def test_curves_are_those_of_one_validation_ecg_a_patient(cohort: Path) -> None:
    (network,), opened = members_of(load_bundle()), Cohort.open(cohort)
    patients = np.unique(opened.index["patient"])
    split = np.where(np.isin(opened.index["patient"], patients[:120]), "validation", "calibration")
    ours = replace(opened, index={**opened.index, "split": split})
    rows = ours.first_rows(Split.VALIDATION)
    assert len(rows) == 120
    expected = QuantileCurves.fit(predict(network, ours, rows))
    found = curves_of_errors(network, ours)
    np.testing.assert_array_equal(found.knots, expected.knots)
    np.testing.assert_array_equal(found.quantiles, expected.quantiles)


@pytest.mark.parametrize("more", [0, 1])
def test_with_fewer_validation_ecgs_than_it_takes_the_curves_of_the_bundle_stay(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    n = len(Cohort.open(cohort).first_rows(Split.VALIDATION))
    assert 0 < n < 100  # from which none but those of the normal distribution can be found
    monkeypatch.setattr(module, "LEAST_FOR_CURVES", n + more)
    made = calibrate(CalibrateConfig(bundle=SHIPPED, cohort=cohort, out=tmp_path / "b", of=Of.UNSEEN))
    shipped = load_bundle().calibration.distribution.curves
    expected = shipped if more else QuantileCurves.fit(Pairs(np.empty(0), np.empty(0), np.empty(0)))
    np.testing.assert_array_equal(made.calibration.distribution.curves.quantiles, expected.quantiles)


def licensed(cohort: Cohort, licence: str) -> Cohort:
    about = {**cohort.about["about"], "is_simulated": False, "licence": licence}
    return replace(cohort, about={**cohort.about, "about": about})


def test_the_terms_of_patients_go_into_the_bundle_and_those_of_simulated_ecgs_do_not(
    cohort: Path, tmp_path: Path
) -> None:
    ours = Cohort.open(cohort)
    assert licences_of(ours) == ()
    terms = licences_of(ours, licensed(ours, "not to leave the house"), licensed(ours, "not to leave the house"))
    assert terms == ("not to leave the house",)
    shipped = load_bundle()
    assert shipped.sharing.startswith("yes")
    save_bundle(replace(shipped, provenance=replace(shipped.provenance, licences=terms)), tmp_path / "b")
    assert load_bundle(tmp_path / "b").sharing == "only as these terms allow: not to leave the house"


def test_what_would_break_the_guarantee_is_refused(cohort: Path, tmp_path: Path) -> None:
    config = CalibrateConfig(bundle=SHIPPED, cohort=cohort, out=tmp_path / "b")
    shipped = load_bundle()
    of_patients = replace(shipped.provenance, is_simulated=False)
    policy = Policy.for_model(is_simulated=False)
    save_bundle(replace(shipped, provenance=of_patients, policy=policy), tmp_path / "patients")
    with pytest.raises(ValueError, match="cannot be calibrated on simulated ECGs"):
        calibrate(replace(config, bundle=tmp_path / "patients"))
    from ecg_ka.losses import LabelDistribution

    opened = Cohort.open(cohort)
    own = LabelDistribution.from_labels(opened.labels(np.flatnonzero(opened.index["split"] == "train"))).sha256
    save_bundle(
        replace(shipped, provenance=replace(shipped.provenance, label_distribution_sha256=own)), tmp_path / "own"
    )
    with pytest.raises(ValueError, match="trained on this cohort; only --of calibration"):
        calibrate(replace(config, bundle=tmp_path / "own", of=Of.UNSEEN))
    with pytest.raises(FileExistsError, match="holds something already"):
        calibrate(replace(config, out=tmp_path))
    about = json.loads((cohort / "cohort.json").read_text())
    assert about["signal_sha256"] == shipped.signal.sha256
