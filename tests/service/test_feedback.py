"""Laboratory values that come later: which count, and what the metrics make of them, on both databases."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from scipy.stats import wasserstein_distance
from sqlalchemy import select, update

import ecg_ka
from service.app import create_app
from service.monitoring.summary import SELECTION
from service.settings import Settings
from service.storage import estimates, feedback
from service.storage.estimates import Row
from service.storage.store import Act, Store, now
from service.storage.tables import ESTIMATES, FEEDBACK

ECG_AT = "2013-01-25T10:59:19"  # of the real DICOM ECG, which names no zone


@pytest.fixture
def estimate_id(keeping: TestClient, dicom_bytes: bytes) -> str:
    return str(keeping.post("/v1/predict", files={"file": ("a", dicom_bytes)}).headers["x-estimate-id"])


def value(estimate_id: str, **changed: Any) -> dict[str, Any]:
    usual = {"potassium": 4.4, "unit": "mmol/L", "collected_at": ECG_AT, "haemolysed": False, "patient": "p1"}
    return {"estimate_id": estimate_id, **usual, **changed}


def send(client: TestClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/v1/feedback", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(
    ("changed", "minutes", "reasons"),
    [
        ({}, 0, []),
        ({"unit": "mEq/L"}, 0, []),
        ({"collected_at": "2013-01-25T11:59:19"}, 60, []),
        ({"collected_at": "2013-01-25T09:59:19Z"}, -60, []),
        ({"collected_at": "2013-01-25T12:59:19+02:00"}, 0, []),
        ({"collected_at": "2013-01-25T11:59:20"}, 60 + 1 / 60, [feedback.TOO_FAR_APART]),
        ({"haemolysed": True}, 0, [feedback.HAEMOLYSED]),
        ({"patient": None}, 0, [feedback.NO_PATIENT]),
        ({"haemolysed": True, "patient": None}, 0, [feedback.HAEMOLYSED, feedback.NO_PATIENT]),
    ],
)
def test_what_counts(
    keeping: TestClient, estimate_id: str, changed: dict[str, Any], minutes: float, reasons: list[str]
) -> None:
    kept = send(keeping, value(estimate_id, **changed))
    assert kept["minutes_after_ecg"] == pytest.approx(minutes)
    assert (kept["counted"], kept["reasons"]) == (not reasons, reasons)
    monitoring = keeping.get("/v1/monitoring").json()
    assert monitoring["accuracy"][0]["n"] == (not reasons)
    assert monitoring["not_counted"] == dict.fromkeys(reasons, 1)
    assert monitoring["disclaimer"] == ecg_ka.DISCLAIMER


def test_one_value_counts_a_patient_and_day_and_one_an_estimate(keeping: TestClient, dicom_bytes: bytes) -> None:
    ids = [keeping.post("/v1/predict", files={"file": ("a", dicom_bytes)}).headers["x-estimate-id"] for _ in range(3)]
    assert send(keeping, value(ids[0], haemolysed=True))["counted"] is False  # takes nobody's place
    assert send(keeping, value(ids[0]))["counted"] is True
    assert send(keeping, value(ids[1]))["reasons"] == [feedback.NOT_FIRST]
    assert send(keeping, value(ids[1], patient="p2"))["counted"] is True
    assert send(keeping, value(ids[1], patient="p3"))["reasons"] == [feedback.PAIRED]


def test_a_withheld_estimate_and_an_ecg_without_time_do_not_count(keeping: TestClient, json_bytes: bytes) -> None:
    made = keeping.post("/v1/predict", files={"file": ("a", json_bytes)}).headers["x-estimate-id"]
    store: Store = keeping.app_state["store"]
    with store.database.write() as connection:
        connection.execute(update(ESTIMATES).values(abstained=True))
    assert send(keeping, value(made))["reasons"] == [feedback.NO_ECG_TIME, feedback.WITHHELD]


def test_the_pseudonym_is_not_kept(keeping: TestClient, estimate_id: str) -> None:
    send(keeping, value(estimate_id, patient="Mustermann-1950"))
    store: Store = keeping.app_state["store"]
    with store.database.read() as connection:
        row = connection.execute(select(FEEDBACK)).one()
    assert "Mustermann" not in repr(row)
    assert len(row.patient_day) == 64


UNSOUND: tuple[dict[str, Any], ...] = (
    {"unit": "mg/dL"},
    {"unit": None},
    {"potassium": 0.1},
    {"potassium": 52},
    {"potassium": "4.4"},
    {"potassium": True},
    {"collected_at": "yesterday"},
    {"haemolysed": None},
    {"haemolysed": "no"},
    {"patient": ""},
    {"patient": "\ud800"},
    {"collected_at": "0001-01-01T00:00:00+10:00"},
    {"collected_at": "9999-12-31T23:59:59-10:00"},
    {"collected_at": 1e30},
    {"estimate_id": "x"},
    {"name": "Mustermann"},
)


def test_a_value_that_is_not_sound_is_refused_by_field(keeping: TestClient) -> None:
    for changed in UNSOUND:
        content = json.dumps(value("0" * 32) | changed)
        answer = keeping.post("/v1/feedback", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, changed
        assert next(iter(changed)) in answer.json()["detail"]


def test_a_value_for_no_estimate_is_404(keeping: TestClient) -> None:
    answer = keeping.post("/v1/feedback", json=value("0" * 32))
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:ecg-ka:error:unknown-estimate")


def test_times_without_a_zone_are_of_the_zone_that_is_set(
    tmp_path: Path, bundle_folder: Path, dicom_bytes: bytes
) -> None:
    with TestClient(create_app(Settings(bundle=bundle_folder, data=tmp_path, time_zone="Europe/Berlin"))) as client:
        made = client.post("/v1/predict", files={"file": ("a", dicom_bytes)}).headers["x-estimate-id"]
        assert send(client, value(made, collected_at="2013-01-25T10:09:19Z"))["minutes_after_ecg"] == pytest.approx(10)


def row(estimator: ecg_ka.Estimator, potassium: float, **changed: Any) -> Row:
    usual: dict[str, Any] = dict.fromkeys(Row.__dataclass_fields__)
    usual |= {"model_sha256": estimator.bundle.sha256, "preprocessing_sha256": "p", "input_sha256": "i"}
    usual |= {"format": "f", "ecg_at": now(), "potassium_mmol_l": potassium, "median_mmol_l": potassium, "level": 0.9}
    usual |= {"lower_mmol_l": potassium - 0.5, "upper_mmol_l": potassium + 0.5, "p_at_least_5_5": 0.25}
    usual |= {"p_below_3_5": 0.1, "abstained": False, "flags": [], "quality": "good", "amplitude_mv": 1.0}
    return Row(**{**usual, **changed})


def pair(store: Store, estimator: ecg_ka.Estimator, potassium: float, laboratory: float) -> None:
    act = Act("a", "r")
    with store.act() as connection:
        made = estimates.add(connection, act, row(estimator, potassium), "predict")
    sent = feedback.Value(
        estimate_id=made, potassium_mmol_l=laboratory, collected_at=now(), haemolysed=False, pseudonym=made
    )
    assert feedback.keep(store, act, sent, "").counted


def test_the_metrics_are_those_of_the_pairs(keeping: TestClient, estimator: ecg_ka.Estimator) -> None:
    store: Store = keeping.app_state["store"]
    pairs = [(4.2, 4.0), (4.6, 4.4), (5.0, 5.0), (5.2, 6.0), (3.4, 3.1)]
    for potassium, laboratory in pairs:
        pair(store, estimator, potassium, laboratory)
    found = keeping.get("/v1/monitoring").json()
    assert found["selection"] == SELECTION
    accuracy = {part["region"]: part for part in found["accuracy"]}
    errors = np.array([potassium - laboratory for potassium, laboratory in pairs])
    assert accuracy["all"]["mae_mmol_l"] == pytest.approx(np.abs(errors).mean())
    assert accuracy["all"]["bias_mmol_l"] == pytest.approx(errors.mean())
    assert accuracy["all"]["coverage"] == pytest.approx(0.8)
    assert {name: part["n"] for name, part in accuracy.items()} == {"all": 5, "many": 2, "median": 1, "few": 2}
    assert accuracy["few"]["coverage"] == pytest.approx(0.5)
    high, low = found["reliability"]
    assert (high["n"], high["mean_p"], high["observed"]) == (5, pytest.approx(0.25), pytest.approx(0.2))
    assert high["brier"] == pytest.approx((0.75**2 + 4 * 0.25**2) / 5)
    assert low["observed"] == pytest.approx(0.2)


def test_the_distance_from_the_training_labels_is_that_of_the_loss(
    keeping: TestClient, estimator: ecg_ka.Estimator
) -> None:
    store: Store = keeping.app_state["store"]
    density = estimator.bundle.density
    labels = np.repeat(0.1 * (density.first_bin + np.arange(density.counts.size)), density.counts)
    values = np.random.default_rng(0).normal(5.0, 0.5, 40)
    with store.act() as connection:
        for potassium in values:
            estimates.add(connection, Act("a", "r"), row(estimator, float(potassium)), "predict")
    found = keeping.get("/v1/monitoring").json()["predictions"]
    assert found["wasserstein_mmol_l"] == pytest.approx(wasserstein_distance(values, labels), abs=1e-6)
    assert found["quantiles_mmol_l"]["p50"] == pytest.approx(np.median(values))
    assert found["training_mean_mmol_l"] == pytest.approx(labels.mean())


def test_inputs_that_change_and_withheld_estimates_are_seen(keeping: TestClient, estimator: ecg_ka.Estimator) -> None:
    store: Store = keeping.app_state["store"]
    rng = np.random.default_rng(0)
    long_ago = now() - timedelta(days=40)
    with store.act() as connection:
        for amplitude in rng.normal(1.0, 0.1, 50):
            estimates.add(connection, Act("a", "r"), row(estimator, 4.0, amplitude_mv=float(amplitude)), "predict")
        connection.execute(update(ESTIMATES).values(created_at=long_ago))
        for amplitude in rng.normal(2.0, 0.1, 50):
            changed = {"amplitude_mv": float(amplitude), "abstained": True, "flags": ["LOW_QUALITY"], "quality": "poor"}
            estimates.add(connection, Act("a", "r"), row(estimator, 4.0, **changed), "predict")
    found = keeping.get("/v1/monitoring").json()
    drift = {part["feature"]: part for part in found["drift"]}
    assert (found["n_estimates"], found["abstention_rate"], found["flag_rates"]) == (50, 1.0, {"LOW_QUALITY": 1.0})
    assert (drift["amplitude_mv"]["n_reference"], drift["amplitude_mv"]["n"]) == (100, 50)
    assert drift["amplitude_mv"]["shift"] > 0.9
    assert drift["quality"]["mean"] == 1.0
    assert drift["heart_rate_bpm"]["shift"] is None


def test_an_empty_store_has_metrics_without_numbers(keeping: TestClient) -> None:
    found = keeping.get("/v1/monitoring?days=7").json()
    assert (found["n_estimates"], found["abstention_rate"], found["window_days"]) == (0, None, 7)
    assert keeping.get("/v1/monitoring?days=0").status_code == 422


def test_prometheus_sees_the_same_numbers(keeping: TestClient, estimator: ecg_ka.Estimator) -> None:
    pair(keeping.app_state["store"], estimator, 4.2, 4.0)
    text = keeping.get("/metrics").text
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(samples['ecg_ka_monitoring_mae_mmol_l{region="all"}']) == pytest.approx(0.2)
    assert samples['ecg_ka_monitoring_pairs{region="few"}'] == "0.0"
    assert samples["ecg_ka_storage_up"] == "1.0"
    assert SELECTION in text


def test_predictions_are_counted_by_region_for_prometheus(client: TestClient, dicom_bytes: bytes) -> None:
    answer = client.post("/v1/predict", files={"file": ("a", dicom_bytes)})
    samples = client.get("/metrics").text
    region = answer.json()["region"]["name"]
    assert f'ecg_ka_estimates_total{{region="{region}"}} 1.0' in samples
    assert 'ecg_ka_requests_total{method="POST",route="/v1/predict",status="200"} 1.0' in samples


def test_quality_is_that_of_the_library(client: TestClient, dicom_bytes: bytes) -> None:
    answer = client.post("/v1/quality", files={"file": ("a", dicom_bytes)})
    expected = ecg_ka.assess(ecg_ka.read(dicom_bytes))
    assert answer.status_code == 200
    found = answer.json()
    assert (found["grade"], found["heart_rate_bpm"]) == (str(expected.grade), expected.heart_rate_bpm)
    assert [lead["grade"] for lead in found["leads"]] == [str(lead.grade) for lead in expected.leads]
    assert found["leads"][0]["noise_uv"] == pytest.approx(expected.leads[0].noise_uv)
    assert client.post("/v1/quality", files={"file": ("a", b"junk")}).status_code == 415


def test_ecg_times_are_kept_as_instants(keeping: TestClient, estimate_id: str) -> None:
    store: Store = keeping.app_state["store"]
    with store.database.read() as connection:
        kept_at = connection.execute(select(ESTIMATES.c.ecg_at)).scalar_one()
    assert kept_at == datetime.fromisoformat(ECG_AT + "+00:00")
