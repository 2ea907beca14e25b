"""What an attacker sends as files, names and ids; see also test_attacks_http.py and test_attacks_content.py."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from service.app import create_app
from service.settings import Settings
from service.storage.spool import Spool
from service.storage.store import Store
from service.storage.tables import ESTIMATES
from tests.service.test_access import bearer, made


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def keeper(tmp_path: Path, bundle_folder: Path) -> Any:
    settings = Settings(bundle=bundle_folder, data=tmp_path / "data", max_upload_mb=1, batch_upload_mb=1)
    with TestClient(create_app(settings)) as client:
        yield client


NAMES = (
    "../../../../tmp/evil",
    "/etc/cron.d/evil",
    "..\\evil",
    "C:\\evil",
    "a/../../evil",
    "evil\x00.dat",
    "\u202eevil",
)


@pytest.mark.parametrize("name", NAMES)
def test_no_name_becomes_a_path(keeper: TestClient, tmp_path: Path, dicom_bytes: bytes, name: str) -> None:
    keeper.get("/readyz")
    before = {path for path in tmp_path.rglob("*") if "spool" not in path.parts}
    for file in (("file", (name, dicom_bytes)), ("file", ("a.zip", zipped({name: dicom_bytes})))):
        answer = keeper.post("/v1/batches", files=[file])
        assert answer.status_code in (202, 400, 422), answer.text
    spooled = [path for path in (tmp_path / "data" / "spool").rglob("*") if path.is_file()]
    assert {path.name for path in spooled} <= {"0"}
    assert {path for path in tmp_path.rglob("*") if "spool" not in path.parts} == before


@pytest.mark.parametrize("batch_id", ["..", "../secret", "0" * 31, "0" * 33, "A" * 32, "0" * 31 + "/", ""])
def test_the_spool_takes_ids_alone(tmp_path: Path, batch_id: str) -> None:
    spool = Spool(tmp_path)
    for use in (lambda: spool.write(batch_id, 0, b"x"), lambda: spool.read(batch_id, 0)):
        with pytest.raises(ValueError, match="no id of a batch"):
            use()
    with pytest.raises(ValueError, match="no id of a batch"):
        spool.discard_batch(batch_id)


@pytest.mark.parametrize("path", ["/v1/batches/..%2F..%2Fsecret", "/v1/batches/%2e%2e/results.csv", "/v1/batches/x"])
def test_a_batch_is_asked_for_by_its_id_alone(keeper: TestClient, path: str) -> None:
    assert keeper.get(path).status_code in (404, 422)


def test_a_bomb_is_refused_and_leaves_nothing(keeper: TestClient, tmp_path: Path) -> None:
    bombs = {
        "one large file": zipped({"a": bytes(60_000_000)}),
        "many files": zipped({f"{n}": bytes(900_000) for n in range(40)}),
        "a size that lies": _lying(zipped({"a": bytes(900_000)})),
        "no directory": b"PK\x03\x04" + bytes(100),
        "encrypted": _encrypted(zipped({"a": b"x"})),
        "too many": zipped({f"{n}": b"" for n in range(5)}, zipfile.ZIP_BZIP2),
    }
    for what, bomb in bombs.items():
        answer = keeper.post("/v1/batches", files={"file": ("a.zip", bomb)})
        assert answer.status_code in (400, 413, 422), (what, answer.status_code)
    assert list((tmp_path / "data" / "spool").iterdir()) == []


def test_a_batch_of_too_many_ecgs_is_refused(tmp_path: Path, bundle_folder: Path) -> None:
    with TestClient(create_app(Settings(bundle=bundle_folder, data=tmp_path, max_batch_ecgs=2))) as client:
        for n_ecgs, status in ((2, 202), (3, 422)):
            archive = zipped({f"{number}.bin": b"x" for number in range(n_ecgs)})
            assert client.post("/v1/batches", files={"file": ("a.zip", archive)}).status_code == status


def _lying(archive: bytes) -> bytes:
    at = archive.rindex(b"PK\x01\x02")
    return archive[: at + 24] + struct.pack("<I", 10) + archive[at + 28 :]


def _encrypted(archive: bytes) -> bytes:
    at = archive.rindex(b"PK\x01\x02")
    return archive[: at + 8] + struct.pack("<H", 1) + archive[at + 10 :]


def test_a_replay_with_another_body_is_refused_and_the_same_body_does_nothing_again(
    keeping: TestClient, dicom_bytes: bytes
) -> None:
    store: Store = keeping.app_state["store"]
    once = {"Idempotency-Key": "visit-1"}

    def send(path: str, headers: dict[str, str], *, level: str = "0.9") -> Any:
        return keeping.post(path, files={"file": ("a", dicom_bytes)}, data={"level": level}, headers=headers)

    first = send("/v1/predict", once)
    again = send("/v1/predict", once)
    assert first.headers["x-estimate-id"] == again.headers["x-estimate-id"]
    other = send("/v1/predict", once, level="0.8")
    assert (other.status_code, other.json()["type"]) == (422, "urn:ecg-ka:error:idempotency-mismatch")
    assert "x-estimate-id" not in other.headers
    batch = send("/v1/batches", once)  # another route: another request
    assert batch.status_code == 202
    assert send("/v1/batches", once).json()["batch"]["id"] == batch.json()["batch"]["id"]
    assert send("/v1/batches", once, level="0.8").status_code == 422
    assert len(list(store.spool.root.iterdir())) == 1
    value = {"estimate_id": first.headers["x-estimate-id"], "potassium": 4.4, "unit": "mmol/L", "haemolysed": False}
    value |= {"collected_at": "2013-01-25T10:59:19"}
    kept = keeping.post("/v1/feedback", json=value, headers=once)
    assert keeping.post("/v1/feedback", json=value, headers=once).json() == kept.json()
    assert keeping.post("/v1/feedback", json=value | {"potassium": 9.9}, headers=once).status_code == 422


def test_a_replay_in_another_language_is_the_same_estimate(keeping: TestClient, dicom_bytes: bytes) -> None:
    ids = [
        keeping.post(
            "/v1/predict", files={"file": ("a", dicom_bytes)}, data=data, headers={"Idempotency-Key": "visit-2"}
        ).headers["x-estimate-id"]
        for data in ({}, {"output": "pdf"}, {"output": "svg"})
    ]
    assert len(set(ids)) == 1
    store: Store = keeping.app_state["store"]
    with store.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(ESTIMATES)).scalar_one() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb", "ä"])
def test_an_idempotency_key_is_short_visible_ascii(keeper: TestClient, dicom_bytes: bytes, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    answer = keeper.post("/v1/predict", files={"file": ("a", dicom_bytes)}, headers=headers)
    assert answer.status_code == 422


def test_one_caller_does_not_see_the_batch_of_another(keeping: TestClient, dicom_bytes: bytes) -> None:
    store: Store = keeping.app_state["store"]
    scopes = {"ours": "predict", "theirs": "predict", "boss": "admin"}
    ours, theirs, admin = (bearer(made(store, name, scope)) for name, scope in scopes.items())
    made_id = keeping.post("/v1/batches", files={"file": ("a", dicom_bytes)}, headers=ours).json()["batch"]["id"]
    for suffix in ("", "/results.ndjson", "/results.csv"):
        statuses = [keeping.get(f"/v1/batches/{made_id}{suffix}", headers=key).status_code for key in (ours, admin)]
        assert statuses == [200, 200]
        assert keeping.get(f"/v1/batches/{made_id}{suffix}", headers=theirs).status_code == 404
    assert keeping.delete(f"/v1/batches/{made_id}", headers=theirs).status_code == 404
    assert keeping.delete(f"/v1/batches/{made_id}", headers=ours).status_code == 204
    assert list(store.spool.root.iterdir()) == []
