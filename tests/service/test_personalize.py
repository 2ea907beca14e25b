"""Earlier ECGs of the same patient over HTTP: the library's answer, checked times, nothing kept."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

import ecg_ka
from service import examples, schemas
from service.app import create_app
from service.earlier import MAX_PAIRS
from service.settings import Settings
from tests.service.test_explain import check_only_noted
from tests.service.test_predict import plain

Parts = list[tuple[str, tuple[str, bytes]]]


def pair(name: str, day: int, potassium: float) -> dict[str, Any]:
    """An earlier ECG and its laboratory value, of 2013-01-``day``."""
    return {
        "files": [name],
        "acquired_at": f"2013-01-{day:02}T08:00:00Z",
        "potassium": potassium,
        "unit": "mmol/L",
        "collected_at": f"2013-01-{day:02}T09:30:00+01:00",
        "haemolysed": False,
    }


@pytest.fixture(scope="module")
def earlier(beats_mv: NDArray[np.float64]) -> dict[str, bytes]:
    """Two ECGs that state no time."""
    content = {"fs_hz": 500, "leads": list(ecg_ka.LEADS)}
    signals = {"a.json": beats_mv.round(4), "b.json": (1.1 * beats_mv).round(4)}
    return {name: json.dumps(content | {"signal_mv": mv.tolist()}).encode() for name, mv in signals.items()}


HISTORY = [pair("a.json", 20, 4.1), pair("b.json", 22, 4.4)]


def sent(client: Any, current: bytes, earlier: dict[str, bytes], history: Any, **fields: str) -> Any:
    files: Parts = [("file", ("ecg", current)), *(("earlier", item) for item in earlier.items())]
    text = history if isinstance(history, str) else json.dumps(history)
    return client.post("/v1/personalize", files=files, data={"history": text, **fields})


def test_the_answer_is_that_of_the_library_and_nothing_is_kept(
    keeping: TestClient, estimator: ecg_ka.Estimator, dicom_bytes: bytes, earlier: dict[str, bytes]
) -> None:
    answer = sent(keeping, dicom_bytes, earlier, HISTORY, level="0.8")
    assert answer.status_code == 200, answer.text
    personal = estimator.personalize([(ecg_ka.read(earlier["a.json"]), 4.1), (ecg_ka.read(earlier["b.json"]), 4.4)])
    expected = estimator.estimate(ecg_ka.read(dicom_bytes), level=0.8, personal=personal)
    assert plain(answer.json()) == plain(expected.to_dict())
    assert answer.json()["personal"]["n_pairs"] == 2
    assert "x-estimate-id" not in answer.headers
    check_only_noted(keeping.app_state["store"], "estimate.personalize")


def test_the_next_patient_gets_nothing_of_it(client: TestClient, dicom_bytes: bytes, earlier: dict[str, bytes]) -> None:
    files = {"file": ("ecg", dicom_bytes)}
    before = plain(client.post("/v1/predict", files=files).json())
    with_history = plain(sent(client, dicom_bytes, earlier, HISTORY).json())
    assert with_history["potassium_mmol_l"] != before["potassium_mmol_l"]
    assert plain(client.post("/v1/predict", files=files).json()) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"acquired_at": None}, "states no time"),
        ({"acquired_at": "2013-01-25T10:59:19"}, "not recorded before the current ECG"),
        ({"acquired_at": "2013-01-20T07:29:59Z"}, "within 60 minutes"),
        ({"collected_at": "2013-01-20T08:30:00+14:00"}, "within 60 minutes"),
        ({"collected_at": "1820-01-20T08:30:00Z"}, "not between"),
        ({"collected_at": "yesterday"}, "collected_at"),
        ({"haemolysed": True}, "haemolysed"),
        ({"haemolysed": "no"}, "haemolysed"),
        ({"unit": "mg/dL"}, "unit"),
        ({"potassium": 41}, "potassium"),
        ({"potassium": "4.1"}, "potassium"),
        ({"files": []}, "files"),
        ({"files": ["../a.json"]}, "names other files"),
        ({"files": ["a.json", "b.json"]}, "names other files"),
        ({"patient": "Mustermann"}, "patient"),
        ({"fs_hz": 250}, "earlier ECG 1"),
    ],
)
def test_a_pair_that_tells_nothing_is_refused(
    client: TestClient, dicom_bytes: bytes, earlier: dict[str, bytes], change: dict[str, Any], reason: str
) -> None:
    answer = sent(client, dicom_bytes, earlier, [HISTORY[0] | change, HISTORY[1]])
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert reason in answer.json()["detail"]
    assert "potassium_mmol_l" not in answer.json()


@pytest.mark.parametrize("history", ["", "[]", "{", "null", "[1]", "9" * 70_000, [HISTORY[0]] * (MAX_PAIRS + 1)])
def test_a_history_of_another_form_or_length_is_refused(
    client: TestClient, dicom_bytes: bytes, earlier: dict[str, bytes], history: Any
) -> None:
    assert sent(client, dicom_bytes, earlier, history).status_code in (400, 422)


def test_each_ecg_counts_once(client: TestClient, dicom_bytes: bytes, earlier: dict[str, bytes]) -> None:
    twice = {"a.json": earlier["a.json"], "b.json": earlier["a.json"]}
    for files, which in ((twice, "earlier ECG 2 came before"), (earlier | {"a.json": dicom_bytes}, "earlier ECG 1")):
        answer = sent(client, dicom_bytes, files, HISTORY)
        assert (answer.status_code, which in answer.json()["detail"]) == (422, True), answer.text


def test_the_time_of_the_file_holds(client: TestClient, dicom_bytes: bytes, earlier: dict[str, bytes]) -> None:
    """Of the current ECG, and of an earlier one; without any, the current one is of now."""
    answer = sent(client, dicom_bytes, earlier, HISTORY, acquired_at="2013-01-26T10:59:19")
    assert (answer.status_code, "leave out" in answer.json()["detail"]) == (422, True)
    stated = [HISTORY[0] | {"acquired_at": None, "collected_at": "2013-01-25T10:30:00"}, HISTORY[1]]
    files = earlier | {"a.json": dicom_bytes}
    assert sent(client, json_of_later(earlier), files, stated).status_code == 200
    assert sent(client, json_of_later(earlier), files, stated, acquired_at="2013-01-25T10:59:20").status_code == 200
    early = sent(client, json_of_later(earlier), files, stated, acquired_at="2013-01-25T10:59:19")
    assert "not recorded before" in early.json()["detail"]


def json_of_later(earlier: dict[str, bytes]) -> bytes:
    """Another ECG without a time."""
    content = json.loads(earlier["a.json"])
    content["signal_mv"] = [[1.2 * mv for mv in row] for row in content["signal_mv"]]
    return json.dumps(content).encode()


def test_the_files_of_an_earlier_ecg_answer_as_their_zip(
    client: TestClient, dicom_bytes: bytes, beats_mv: NDArray[np.float64], wfdb_of: Callable[..., dict[str, bytes]]
) -> None:
    files = wfdb_of(beats_mv)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    alone = [HISTORY[0] | {"files": ["a.zip"]}]
    whole = sent(client, dicom_bytes, {"a.zip": packed.getvalue()}, alone)
    parts = sent(client, dicom_bytes, files, [HISTORY[0] | {"files": list(files)}])
    assert (whole.status_code, parts.status_code) == (200, 200), parts.text
    assert plain(whole.json()) == plain(parts.json())


def test_a_model_that_does_not_know_patients_says_so(
    tmp_path: Path, dicom_bytes: bytes, earlier: dict[str, bytes]
) -> None:
    shutil.copytree(ecg_ka.SHIPPED, tmp_path / "bundle", ignore=shutil.ignore_patterns("references.npz"))
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(manifest | {"personal": None}))
    with TestClient(create_app(Settings(bundle=tmp_path / "bundle"))) as client:
        answer = sent(client, dicom_bytes, earlier, HISTORY)
    assert (answer.status_code, answer.json()["type"]) == (501, "urn:ecg-ka:error:no-variance-components")


def test_other_languages_are_for_it_too(client: TestClient, dicom_bytes: bytes, earlier: dict[str, bytes]) -> None:
    assert sent(client, dicom_bytes, earlier, HISTORY, output="fhir").status_code == 409  # a demonstration
    page = sent(client, dicom_bytes, earlier, HISTORY, output="svg")
    assert (page.status_code, "earlier" in page.text) == (200, True)


def test_the_description_shows_an_answer_and_the_pairs(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]["/v1/personalize"]["post"]
    body = described["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(body["required"]) == {"file", "earlier", "history"}
    assert "$ref" not in json.dumps(body)
    shown = described["responses"]["200"]["content"]["application/json"]["example"]
    assert shown == examples.personal_estimate()
    assert schemas.EstimateOut.model_validate(shown).personal is not None
