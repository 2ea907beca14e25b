"""Model, health, headers, log, interface description, settings and start."""

from __future__ import annotations

import json
import re
import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel, ValidationError

import ecg_ka
from service import __main__ as program
from service import examples, schemas
from service.app import create_app
from service.fields import PredictFields
from service.settings import Settings, SettingsError, from_environment


def without_optional_and_list(annotation: Any) -> Any:
    """The class inside ``X | None``, ``tuple[X, ...]`` or ``list[X]``."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union, tuple, list):
        return without_optional_and_list(typing.get_args(annotation)[0])
    return annotation


def may_be_none(annotation: Any) -> bool:
    return type(None) in typing.get_args(annotation)


def check_mirrors(model: type[BaseModel], original: type[Any]) -> None:
    hints = typing.get_type_hints(original)
    assert [field.name for field in fields(original)] == list(model.model_fields)
    for name, field in model.model_fields.items():
        assert field.is_required(), name
        assert may_be_none(field.annotation) == may_be_none(hints[name]), name
        inner, inner_model = without_optional_and_list(hints[name]), without_optional_and_list(field.annotation)
        if is_dataclass(inner):
            check_mirrors(inner_model, typing.cast("type[Any]", inner))


def test_the_response_mirrors_the_estimate_without_defaults() -> None:
    check_mirrors(schemas.EstimateOut, ecg_ka.Estimate)


def test_model_parts_mirror_the_bundle(estimator: ecg_ka.Estimator) -> None:
    bundle = estimator.bundle
    check_mirrors(schemas.ProvenanceOut, type(bundle.provenance))
    check_mirrors(schemas.SignalSpecOut, type(bundle.signal))
    check_mirrors(schemas.RegionsOut, type(bundle.regions))
    check_mirrors(schemas.OperatingPointsOut, type(bundle.calibration.operating_points))
    check_mirrors(schemas.ModelIdentityOut, type(bundle.identity()))


def test_the_model_tells_what_the_bundle_holds(client: TestClient, estimator: ecg_ka.Estimator) -> None:
    answer = client.get("/v1/model")
    assert answer.status_code == 200
    model, bundle = answer.json(), estimator.bundle
    assert model["identity"]["sha256"] == bundle.sha256
    assert model["provenance"]["is_simulated"] is bundle.provenance.is_simulated
    assert model["signal"]["leads"] == list(bundle.signal.leads)
    assert model["regions"]["few_low"] == bundle.regions.few_low
    assert model["density"] == bundle.density.to_dict()
    assert model["words"]["category"] == {str(category): category.sentence for category in ecg_ka.Category}
    assert set(model["words"]["bands"]) == set(ecg_ka.Band)
    assert set(model["words"]["severe_bands"]) == set(ecg_ka.SevereBand)
    assert model["metrics"] == json.loads(json.dumps(bundle.metrics))
    assert model["disclaimer"] == ecg_ka.DISCLAIMER


def test_without_a_bundle_the_service_lives_and_is_not_ready(tmp_path: Path, dicom_bytes: bytes) -> None:
    with TestClient(create_app(Settings(bundle=tmp_path / "absent"))) as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        for answer in (
            client.get("/readyz"),
            client.get("/v1/model"),
            client.post("/v1/predict", files={"file": ("a", dicom_bytes)}),
        ):
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:ecg-ka:error:not-ready"


@pytest.mark.parametrize("given", ["abc-1.2_3", "x" * 64])
def test_a_valid_request_id_is_kept(client: TestClient, given: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] == given
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "{}", "ä"])
def test_any_other_request_id_is_replaced(client: TestClient, given: str) -> None:
    answer = client.get("/healthz", headers=[(b"X-Request-ID", given.encode("latin-1"))])
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_the_log_holds_no_word_about_the_patient(server: Any, dicom_bytes: bytes) -> None:
    request_id = "log-test-1"
    url = "/v1/predict?patient=Mustermann"
    files = {"file": ("Mustermann_Erika_1950.dcm", dicom_bytes)}
    server.client.post(url, files=files, headers={"X-Request-ID": request_id})
    server.client.post("/v1/predict", files=files)
    server.client.get("/Mustermann")
    server.client.post("/v1/predict", files={"file": ("a", b"Mustermann,Erika\n1,2\n")})
    lines = [line for line in server.log_lines() if line.get("request_id") == request_id]
    assert [(line["route"], line["status"], line["problem"]) for line in lines] == [
        ("/v1/predict", 422, "InvalidRequest")
    ]
    assert "mustermann" not in server.log.read_text().lower()
    assert "127.0.0.1:" not in "".join(line for line in server.log.read_text().splitlines() if "request_id" in line)


def test_the_server_leaves_nothing_in_the_home_of_its_user(server: Any, dicom_bytes: bytes) -> None:
    """onnxruntime keeps what it is about to report to its maker there."""
    assert server.client.post("/v1/predict", files={"file": ("a", dicom_bytes)}).status_code == 200
    assert list((server.log.parent / "home").rglob("*")) == []


def test_the_interface_description_teaches_and_promises_nothing(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert ecg_ka.DISCLAIMER in described["info"]["description"]
    predict = described["paths"]["/v1/predict"]["post"]
    assert set(predict["responses"]) == {
        *("200", "400", "401", "403", "408", "409", "413", "415", "422", "429", "431", "501", "503")
    }
    body = predict["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(body["properties"]) == {"file", *PredictFields.model_fields}
    example = predict["responses"]["200"]["content"]["application/json"]["example"]
    assert schemas.EstimateOut.model_validate(example).disclaimer == ecg_ka.DISCLAIMER
    schemas.Problem.model_validate(examples.problem())
    text = json.dumps(described).lower()
    assert not re.findall(r"\bnormal\b|ruled? out|\bexcluded?\b|\btreat", text)


SERVICE_LINKS = {
    "ECG_KA_SERVICE_HOST": "10.0.0.1",
    "ECG_KA_SERVICE_PORT": "8000",
    "ECG_KA_SERVICE_PORT_HTTP": "8000",
    "ECG_KA_PORT": "tcp://10.0.0.1:8000",
    "ECG_KA_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "ECG_KA_PORT_8000_TCP_PROTO": "tcp",
    "ECG_KA_PORT_8000_TCP_PORT": "8000",
    "ECG_KA_PORT_8000_TCP_ADDR": "10.0.0.1",
    "ECG_KA_WEB_SERVICE_HOST": "10.0.0.2",
    "ECG_KA_WEB_PORT": "udp://10.0.0.2:53",
}


def test_what_kubernetes_says_about_its_services_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = from_environment()
    for name, value in SERVICE_LINKS.items():
        monkeypatch.setenv(name, value)
    assert from_environment() == expected
    monkeypatch.setenv("ECG_KA_PORT", "8123")
    monkeypatch.setenv("ECG_KA_HOST", "")
    assert from_environment() == expected.model_copy(update={"port": 8123})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ECG_KA_PROT", "80"),
        ("ecg_ka_bundel", "x"),
        ("ECG_KA_PORT", "eighty"),
        ("ECG_KA_PORT", "tcp"),
        ("ECG_KA_SERVICE", "10.0.0.1"),
        ("ECG_KA_SERVICE_HOSTS", "10.0.0.1"),
        ("ECG_KA_SERVICE_PORT", "tcp"),
        ("ECG_KA_PORT_8000", "8000"),
        ("ECG_KA_HEADER_TIMEOUT_S", "0"),
        ("ECG_KA_PORT", "70000"),
        ("ECG_KA_MAX_UPLOAD_MB", "0"),
        ("ECG_KA_THREADS", "-1"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["service"])
    with pytest.raises(SettingsError, match=name):
        from_environment()
    assert program.main() == 2
    assert name in capsys.readouterr().err


def test_settings_come_from_the_environment_and_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ECG_KA_MAX_UPLOAD_MB", "0.5")
    monkeypatch.setenv("ECG_KA_BUNDLE", str(tmp_path))
    monkeypatch.setenv("ECG_KA_THREADS", "")  # as compose files leave it
    settings = from_environment()
    assert (settings.max_upload_bytes, settings.bundle, settings.threads) == (500_000, tmp_path, 1)
    with pytest.raises(ValidationError):
        settings.port = 1


def test_help_names_every_setting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["service", "--help"])
    with pytest.raises(SystemExit) as stop:
        program.main()
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert ecg_ka.DISCLAIMER in shown
    for name, field in Settings.model_fields.items():
        assert f"ECG_KA_{name.upper()} " in shown
        assert str(field.description) in shown
