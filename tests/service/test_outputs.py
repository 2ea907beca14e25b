"""Other languages than JSON over HTTP: what is refused, how it is marked, and the card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fastapi.testclient import TestClient

import ecg_ka
from service.app import create_app
from service.settings import Settings

RECORDS = ("fhir", "dicom-sr", "hl7v2")
CARDS = f"/cds-services/{ecg_ka.SERVICE_ID}"


@pytest.fixture(scope="module")
def allowing(bundle_folder: Path) -> Iterator[TestClient]:
    """The demonstration, allowed to export for tests of an interface."""
    with TestClient(create_app(Settings(bundle=bundle_folder, allow_demo_exports=True))) as started:
        yield started


@pytest.fixture(scope="module")
def clinical(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A bundle that says of itself that it was not trained on simulations."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    shutil.copytree(ecg_ka.SHIPPED, folder, ignore=shutil.ignore_patterns("references.npz"))
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["provenance"]["is_simulated"] = False
    manifest["policy"]["withhold"].append("OUT_OF_DISTRIBUTION")
    manifest["policy"]["novelty_p"] = 1e-6  # a real ECG may well be unlike the simulated ones
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with TestClient(create_app(Settings(bundle=folder))) as started:
        yield started


def asked(client: TestClient, data: bytes, **fields: str) -> Any:
    return client.post("/v1/predict", files={"file": ("ecg", data)}, data=fields)


@pytest.mark.parametrize("output", RECORDS)
def test_a_demonstration_stays_out_of_records(client: TestClient, dicom_bytes: bytes, output: str) -> None:
    answer = asked(client, dicom_bytes, output=output)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:ecg-ka:error:demo-export"


def test_an_allowed_demonstration_is_marked_as_test_in_every_language(allowing: TestClient, dicom_bytes: bytes) -> None:
    fhir = asked(allowing, dicom_bytes, output="fhir", subject="Patient/4711", client_reference="order 1")
    assert fhir.headers["content-type"] == "application/fhir+json"
    assert all("HTEST" in json.dumps(entry["resource"]["meta"]) for entry in fhir.json()["entry"])
    assert '"Patient/4711"' in fhir.text
    hl7 = asked(allowing, dicom_bytes, output="hl7v2", subject="HOSPITAL|4711")
    assert hl7.text.split("\r")[0].split("|")[10] == "T"
    assert "4711^^^HOSPITAL^MR" in hl7.text
    sr = asked(allowing, dicom_bytes, output="dicom-sr")
    assert sr.headers["content-type"] == "application/dicom"
    assert pydicom.dcmread(BytesIO(sr.content)).ConceptNameCodeSequence[0].CodeMeaning.startswith("DEMO")


def test_every_language_gives_the_value_of_the_json(clinical: TestClient, dicom_bytes: bytes) -> None:
    value = round(asked(clinical, dicom_bytes).json()["potassium_mmol_l"], 2)
    entries = asked(clinical, dicom_bytes, output="fhir").json()["entry"]
    (observation,) = [e["resource"] for e in entries if e["resource"]["resourceType"] == "Observation"]
    assert observation["valueQuantity"]["value"] == value

    assert f"|1|{value:.2f}|mmol/L" in asked(clinical, dicom_bytes, output="hl7v2").text
    sr = pydicom.dcmread(BytesIO(asked(clinical, dicom_bytes, output="dicom-sr").content))
    assert f"{value:g}" in str(sr)


@pytest.mark.parametrize(("output", "begins"), [("pdf", b"%PDF-"), ("svg", b"<svg ")])
def test_a_page_is_a_file_that_runs_nothing(client: TestClient, dicom_bytes: bytes, output: str, begins: bytes) -> None:
    answer = asked(client, dicom_bytes, output=output)
    assert answer.status_code == 200
    assert answer.content.startswith(begins)
    assert answer.headers["content-disposition"] == f'attachment; filename="estimate.{output}"'
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "fields",
    [
        {"output": "xml"},
        {"output": "dicom-sr"},
        {"output": "fhir", "subject": "4711"},
        {"output": "fhir", "subject": ""},
        {"output": "hl7v2", "client_reference": "a\r\nMSH|"},
        {"output": "json", "subject": "Patient/1"},
        {"output": "svg", "client_reference": "a"},
    ],
)
def test_what_cannot_be_is_refused(clinical: TestClient, json_bytes: bytes, fields: dict[str, str]) -> None:
    answer = asked(clinical, json_bytes, **fields)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_nothing_of_an_identity_is_kept(allowing: TestClient, dicom_bytes: bytes, capfd: Any) -> None:
    asked(allowing, dicom_bytes, output="fhir", subject="HOSPITAL|Mustermann4711", client_reference="Mustermann-1")
    again = asked(allowing, dicom_bytes, output="fhir")
    logged = capfd.readouterr()
    assert "Mustermann" not in again.text + logged.out + logged.err


def hook(observation: Any, patient: str = "4711") -> dict[str, Any]:
    prefetch = {ecg_ka.PREFETCH_KEY: observation}
    context = {"userId": "Practitioner/1", "patientId": patient}
    about = {"hook": "patient-view", "hookInstance": "d1577c69", "fhirServer": "http://127.0.0.1:1/fhir"}
    return {**about, "context": context, "prefetch": prefetch}


def filed(client: TestClient, data: bytes) -> Any:
    """What a FHIR server gives back of an answer, with an alarm about today's ECG put in."""
    entries = asked(client, data, output="fhir", subject="Patient/4711").json()["entry"]
    (observation,) = [e["resource"] for e in entries if e["resource"]["resourceType"] == "Observation"]
    for component in observation["component"]:
        if component["code"]["coding"][0]["code"] == "category":
            component["valueCodeableConcept"]["coding"][0]["code"] = "alarm_5_5_and_above"
    return observation | {"effectiveDateTime": datetime.now(UTC).isoformat(timespec="seconds")}


def test_the_service_is_discovered(client: TestClient) -> None:
    (service,) = client.get("/cds-services").json()["services"]
    assert (service["id"], service["hook"]) == (ecg_ka.SERVICE_ID, "patient-view")
    assert ecg_ka.PREFETCH_KEY in service["prefetch"]


def test_a_card_comes_from_the_prefetched_observation(
    clinical: TestClient, allowing: TestClient, client: TestClient, dicom_bytes: bytes
) -> None:
    request = hook(filed(clinical, dicom_bytes))
    (card,) = clinical.post(CARDS, json=request).json()["cards"]
    assert len(card["summary"]) < 140
    assert clinical.post(CARDS, json=hook(None)).json() == {"cards": []}
    assert clinical.post(CARDS, json=hook(filed(allowing, dicom_bytes))).json() == {"cards": []}  # test data
    assert client.post(CARDS, json=request).status_code == 409
    assert allowing.post(CARDS, json=request).json() == {"cards": []}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"prefetch": None}, 412),
        ({"prefetch": {}}, 412),
        ({"hook": "order-sign"}, 422),
        ({"context": {"patientId": "a/../b"}}, 422),
        ({"context": None}, 422),
        ({"hookInstance": ""}, 422),
    ],
)
def test_a_request_that_lacks_something_is_told(clinical: TestClient, change: dict[str, Any], status: int) -> None:
    answer = clinical.post(CARDS, json=hook(None) | change)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b'"x"'])
def test_a_broken_body_is_no_bug(clinical: TestClient, body: bytes) -> None:
    answer = clinical.post(CARDS, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
