"""Every bad request gets one problem document with the right status, and never a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

import ecg_ka
from service import errors

PROBLEM_KEYS = {"type", "title", "status", "detail", "instance"}


def check_problem(answer: Any, status: int, name: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:ecg-ka:error:{name}"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == PROBLEM_KEYS
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == f"urn:ecg-ka:request:{answer.headers['x-request-id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def one(data: bytes) -> dict[str, Any]:
    return {"files": {"file": ("ecg", data)}, "data": {"fs_hz": "500"}}


@pytest.fixture(scope="session")
def bad_ecgs(
    beats_mv: NDArray[np.float64],
    csv_of: Callable[..., bytes],
    wfdb_of: Callable[..., dict[str, bytes]],
    json_bytes: bytes,
    dicom_bytes: bytes,
) -> dict[str, dict[str, Any]]:
    gap = beats_mv.copy()
    gap[3, 100] = np.nan
    elsewhere = [("file", item) for item in wfdb_of(beats_mv, "../secret.dat").items()]
    absent = [("file", item) for item in wfdb_of(beats_mv, "other.dat").items()]
    short_dat = wfdb_of(beats_mv)
    short_dat["rec.dat"] = short_dat["rec.dat"][:1000]
    return {
        "empty": one(b""),
        "cut JSON": {"files": {"file": ("ecg", json_bytes[:-1000])}},
        "cut DICOM": {"files": {"file": ("ecg", dicom_bytes[:5000])}},
        "cut signal file": {"files": [("file", item) for item in short_dat.items()]},
        "half a character": one(b'{"fs_hz": "\\ud800", "signal_mv": [%s]}' % b", ".join([b"[0]"] * 12)),
        "picture": one(b"\x89PNG\r\n\x1a\n" + bytes(500)),
        "zero samples": one(csv_of(beats_mv[:, :0])),
        "NaN": one(csv_of(gap)),
        "fs 0": {"files": {"file": ("ecg", csv_of(beats_mv))}, "data": {"fs_hz": "0"}},
        "fs unknown": {"files": {"file": ("ecg", csv_of(beats_mv))}},
        "header leads elsewhere": {"files": elsewhere},
        "header names an absent file": {"files": absent},
        "header alone": {"files": absent[:1]},
        "one lead": one(csv_of(beats_mv[:1], ("I",))),
        "3 s": one(csv_of(beats_mv[:, :1500])),
        "flat": one(csv_of(beats_mv * 0)),
        "unit of another kind": {**one(csv_of(beats_mv)), "data": {"fs_hz": "500", "units": "kg"}},
    }


@pytest.mark.parametrize(
    ("case", "status", "name"),
    [
        ("empty", 400, "empty-file"),
        ("cut JSON", 400, "truncated-file"),
        ("cut DICOM", 400, None),
        ("cut signal file", 400, "truncated-file"),
        ("half a character", 400, "invalid-sampling-rate"),
        ("picture", 415, "unknown-format"),
        ("zero samples", 422, "no-samples"),
        ("NaN", 422, "non-finite-samples"),
        ("fs 0", 400, "invalid-sampling-rate"),
        ("fs unknown", 400, "invalid-sampling-rate"),
        ("header leads elsewhere", 400, "foreign-reference"),
        ("header names an absent file", 400, "foreign-reference"),
        ("header alone", 400, "foreign-reference"),
        ("one lead", 422, "missing-leads"),
        ("3 s", 422, "too-short"),
        ("flat", 422, "flat-signal"),
        ("unit of another kind", 400, "malformed-header"),
    ],
)
def test_a_bad_ecg(server: Any, bad_ecgs: dict[str, dict[str, Any]], case: str, status: int, name: str | None) -> None:
    answer = server.client.post("/v1/predict", **bad_ecgs[case])
    check_problem(answer, status, name or answer.json()["type"].rpartition(":")[2])


def multipart(
    *parts: bytes, end: bytes = b"--b--\r\n", content_type: str = "multipart/form-data; boundary=b"
) -> dict[str, Any]:
    body = b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + end
    return {"content": body, "headers": {"content-type": content_type}}


FILE = b'name="file"; filename="a"\r\n\r\nx'


@pytest.mark.parametrize(
    ("request_parts", "status", "name"),
    [
        ({"data": {"fs_hz": "500"}, "files": {"other": ("a", b"x")}}, 422, "invalid-request"),
        (multipart(b'name="level"\r\n\r\n0.9'), 422, "invalid-request"),
        (multipart(b'name="file"\r\n\r\ntext'), 422, "invalid-request"),
        (multipart(FILE, FILE), 422, "invalid-request"),
        (multipart(FILE, *[b'name="level"\r\n\r\n0.9'] * 2), 422, "invalid-request"),
        (multipart(FILE, b'name="level"\r\n\r\n0.3'), 422, "invalid-request"),
        (multipart(FILE, b'name="level"\r\n\r\n1'), 422, "invalid-request"),
        (multipart(FILE, b'name="level"\r\n\r\nnan'), 422, "invalid-request"),
        (multipart(FILE, b'name="fs_hz"\r\n\r\nfast'), 422, "invalid-request"),
        (multipart(FILE, b'name="colour"\r\n\r\nred'), 422, "invalid-request"),
        ({**multipart(FILE), "params": {"level": "0.8"}}, 422, "invalid-request"),
        (multipart(*[FILE] * 65), 400, "malformed-body"),
        (multipart(FILE, *[b'name="n%d"\r\n\r\nx' % i for i in range(17)]), 400, "malformed-body"),
        (multipart(FILE, b'name="leads"\r\n\r\n' + b"I," * 3000), 400, "malformed-body"),
        (multipart(FILE, end=b""), 400, "malformed-body"),
        (
            {"content": b"nothing", "headers": {"content-type": "multipart/form-data; boundary=b"}},
            400,
            "malformed-body",
        ),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "malformed-body"),
        (multipart(FILE, content_type="multipart/form-data; boundary=b; charset=latin-1"), 415, "unsupported-body"),
        (multipart(FILE, content_type='multipart/form-data; charset="UTF-16"; boundary=b'), 415, "unsupported-body"),
        (multipart(FILE, content_type="multipart/form-data; boundary=b; charset=UTF-8"), 415, "unknown-format"),
        ({"json": {"signal_mv": []}}, 422, "no-samples"),
        ({"json": {"signal_mv": [], "level": 0.8}}, 400, "malformed-header"),
        ({"data": {"file": "x"}}, 415, "unsupported-body"),
        ({}, 415, "unsupported-body"),
    ],
)
def test_a_bad_request(client: TestClient, request_parts: dict[str, Any], status: int, name: str) -> None:
    check_problem(client.post("/v1/predict", **request_parts), status, name)


@pytest.mark.parametrize(
    ("boundary", "charset", "name"),
    [("utf-8", "latin-1", "unsupported-body"), ("charset", "utf-8", "unknown-format")],
)
def test_the_charset_of_a_form_is_told_from_its_boundary(
    client: TestClient, boundary: str, charset: str, name: str
) -> None:
    content = multipart(FILE)["content"].replace(b"--b", b"--" + boundary.encode())
    headers = {"content-type": f"multipart/form-data; boundary={boundary}; charset={charset}"}
    check_problem(client.post("/v1/predict", content=content, headers=headers), 415, name)


def test_unknown_paths_and_methods(client: TestClient) -> None:
    check_problem(client.get("/v1/nothing"), 404, "not-found")
    check_problem(client.get("/v1/model/"), 404, "not-found")
    answer = client.get("/v1/predict")
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    assert client.put(f"/v1/batches/{'0' * 32}").headers["allow"] == "GET, DELETE"


def subclasses(root: type[ecg_ka.EcgError]) -> Iterator[type[ecg_ka.EcgError]]:
    for child in root.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_library_error_has_a_status_and_a_type_of_its_own() -> None:
    found = list(subclasses(ecg_ka.EcgError))
    problems = [errors.problem_of(error("why"), "id") for error in found]
    assert len({problem.type for problem in problems}) == len(found) > 10
    assert {problem.status for problem in problems} == {400, 409, 413, 415, 422, 501, 503}
    assert all(problem.detail == "why" for problem in problems)


def test_a_bug_tells_nothing_about_the_inside(
    client: TestClient, caplog: pytest.LogCaptureFixture, dicom_bytes: bytes
) -> None:
    def boom() -> None:
        raise RuntimeError("secret of the patient")

    client.app.add_api_route("/boom", boom)  # type: ignore[attr-defined]
    with caplog.at_level("INFO", logger="service"):
        answer = client.get("/boom")
    check_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    data = [vars(record)["data"] for record in caplog.records if record.message == "unexpected error"]
    assert [entry["error"] for entry in data] == ["RuntimeError"]
    assert "secret" not in json.dumps(data)
    assert client.post("/v1/predict", files={"file": ("a", dicom_bytes)}).status_code == 200
