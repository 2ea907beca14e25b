"""The answer over HTTP is the library's answer."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

import ecg_ka
from service.schemas import EstimateOut


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer in JSON types without its only part that differs from call to call."""
    answer = json.loads(json.dumps(answer))
    del answer["timing_ms"]
    return answer


def as_upload(source: bytes | Mapping[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    files = {"ecg": source} if isinstance(source, bytes) else source
    return [("file", (name, data)) for name, data in files.items()]


def test_a_real_dicom_ecg_gets_the_library_answer(server: Any, estimator: ecg_ka.Estimator, dicom_bytes: bytes) -> None:
    answer = server.client.post("/v1/predict", files=as_upload(dicom_bytes))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert plain(answer.json()) == plain(estimator.estimate(ecg_ka.read(dicom_bytes)).to_dict())
    assert answer.json()["potassium_mmol_l"] is not None
    assert answer.json()["disclaimer"] == ecg_ka.DISCLAIMER


def test_an_ecg_as_json_gets_the_library_answer_and_what_is_none_an_error(
    server: Any, estimator: ecg_ka.Estimator, json_bytes: bytes
) -> None:
    def post(body: bytes) -> Any:
        return server.client.post("/v1/predict", content=body, headers={"Content-Type": "application/json"})

    answer = post(json_bytes)
    assert plain(answer.json()) == plain(estimator.estimate(ecg_ka.read(json_bytes)).to_dict())
    refused = [post(body).status_code for body in (b"", b"--b--", b"{}", b"[" * 100_000, json_bytes[:-1], b"null")]
    assert set(refused) <= {400, 415}


def test_what_the_caller_knows_travels_to_the_library(
    server: Any, estimator: ecg_ka.Estimator, beats_mv: NDArray[np.float64]
) -> None:
    buffer = io.BytesIO()
    np.save(buffer, (beats_mv[[0, 1, *range(6, 12)]] * 1000).astype(np.float32))
    names = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    fields = {"fs_hz": "500", "units": "uV", "leads": ", ".join(names), "level": "0.8"}
    answer = server.client.post("/v1/predict", files=as_upload(buffer.getvalue()), data=fields)
    record = ecg_ka.read(buffer.getvalue(), fs_hz=500, units="uV", leads=names)
    assert answer.status_code == 200
    assert plain(answer.json()) == plain(estimator.estimate(record, level=0.8).to_dict())
    assert answer.json()["interval"]["level"] == 0.8


def test_what_a_file_lacks_is_asked_for_by_the_name_of_the_field_that_helps(
    server: Any, beats_mv: NDArray[np.float64]
) -> None:
    names = (*ecg_ka.LEADS[6:], *ecg_ka.LEADS[:6])
    np.save(buffer := io.BytesIO(), (beats_mv * 1000).round().astype(np.int16)[[ecg_ka.LEADS.index(n) for n in names]])
    fields: dict[str, str] = {}
    for name, value in {"leads": ",".join(names), "fs_hz": "500", "units": "uV"}.items():
        refused = server.client.post("/v1/predict", files=as_upload(buffer.getvalue()), data=fields)
        assert refused.status_code == 400
        assert f"Pass {name}" in refused.json()["detail"]
        fields[name] = value
    assert server.client.post("/v1/predict", files=as_upload(buffer.getvalue()), data=fields).status_code == 200


def test_every_flag_goes_out_with_its_sentence(estimator: ecg_ka.Estimator, json_bytes: bytes) -> None:
    answer = replace(estimator.estimate(ecg_ka.read(json_bytes)), flags=tuple(ecg_ka.Flag)).to_dict()
    told = EstimateOut.model_validate(answer).model_dump(mode="json")["flags"]
    assert told == [{"name": str(flag), "sentence": flag.sentence} for flag in ecg_ka.Flag]


@pytest.mark.parametrize("age_years", [9.0, 46.0, 64.0])
def test_the_age_that_the_caller_knows_travels_to_the_library(
    server: Any, estimator: ecg_ka.Estimator, json_bytes: bytes, age_years: float
) -> None:
    ecg = json.dumps(json.loads(json_bytes) | {"age_years": 64}).encode()
    answer = server.client.post("/v1/predict", files=as_upload(ecg), data={"age_years": f"{age_years:g}"})
    assert plain(answer.json()) == plain(estimator.estimate(ecg_ka.read(ecg), age_years=age_years).to_dict())
    assert (answer.json()["potassium_mmol_l"] is None) == (age_years < 18)
    assert any("whose ECG is it" in note for note in answer.json()["ecg"]["notes"]) == (age_years != 64)


@pytest.mark.parametrize("age_years", ["-1", "121", "nan", "old"])
def test_an_age_that_is_none_is_refused(server: Any, json_bytes: bytes, age_years: str) -> None:
    answer = server.client.post("/v1/predict", files=as_upload(json_bytes), data={"age_years": age_years})
    assert answer.status_code == 422
    assert "age_years" in answer.json()["detail"]


def test_header_and_signal_file_answer_as_their_zip(
    server: Any, estimator: ecg_ka.Estimator, beats_mv: NDArray[np.float64], wfdb_of: Callable[..., dict[str, bytes]]
) -> None:
    pair = wfdb_of(beats_mv)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pair.items():
            archive.writestr(name, data)
    expected = plain(estimator.estimate(ecg_ka.read(pair)).to_dict())
    for source in (pair, dict(reversed(pair.items())), buffer.getvalue()):
        answer = server.client.post("/v1/predict", files=as_upload(source))
        assert answer.status_code == 200
        assert plain(answer.json()) == expected


def test_parallel_requests_give_identical_values(server: Any, dicom_bytes: bytes, json_bytes: bytes) -> None:
    sources = [dicom_bytes, json_bytes] * 4
    alone = [plain(server.client.post("/v1/predict", files=as_upload(s)).json()) for s in sources[:2]]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda s: server.client.post("/v1/predict", files=as_upload(s)), sources))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert [plain(answer.json()) for answer in answers] == alone * 4


def test_an_upload_never_touches_the_disk(
    client: TestClient, csv_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    header, body = csv_bytes.split(b"\n", 1)
    large = header + b"\n" + body * 10
    assert len(large) > 3_000_000
    answer = client.post("/v1/predict", files=as_upload(large), data={"fs_hz": "500"})
    assert answer.status_code == 200
    assert answer.json()["ecg"]["duration_s"] == 100


def test_a_withheld_answer_has_every_field_and_no_value(
    client: TestClient, beats_mv: NDArray[np.float64], csv_of: Callable[..., bytes]
) -> None:
    answer = client.post("/v1/predict", files=as_upload(csv_of(beats_mv * 100)), data={"fs_hz": "500"})
    assert answer.status_code == 200
    assert answer.json()["abstained"] is True
    assert answer.json()["abstain_reasons"]
    for name in ("potassium_mmol_l", "median_mmol_l", "interval", "probabilities", "region", "bands", "category"):
        assert answer.json()[name] is None


@pytest.mark.shared
def test_a_public_wfdb_record_gets_the_library_answer(
    server: Any, estimator: ecg_ka.Estimator, shared_data: Path
) -> None:
    header = next((shared_data / "ptbxl" / "records500").rglob("*.hea"))
    pair = {path.name: path.read_bytes() for path in (header, header.with_suffix(".dat"))}
    answer = server.client.post("/v1/predict", files=as_upload(pair))
    assert answer.status_code == 200
    assert plain(answer.json()) == plain(estimator.estimate(ecg_ka.read(pair)).to_dict())


def test_the_tracing_is_what_the_model_looks_at(client: TestClient, dicom_bytes: bytes) -> None:
    shown = client.post("/v1/tracing", files={"file": ("a", dicom_bytes)}).json()
    answer = client.post("/v1/predict", files={"file": ("a", dicom_bytes)}).json()
    record = ecg_ka.read(dicom_bytes)
    first = round(shown["start_s"] * record.fs_hz)
    assert shown["start_s"] == answer["ecg"]["window_start_s"]
    assert (shown["fs_hz"], shown["leads"]) == (record.fs_hz, list(record.leads))
    for lead, samples_uv in zip(shown["leads"], shown["signal_uv"], strict=True):
        part = record.lead(lead)[first : first + len(samples_uv)]
        assert len(samples_uv) == round(10 * record.fs_hz)
        np.testing.assert_allclose(samples_uv, 1000 * part, atol=0.51)
