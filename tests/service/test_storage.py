"""What is kept, on both databases: migrations, trail, retention, and what is not kept."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import delete, func, select, update

from service.app import create_app
from service.errors import StorageUnavailable
from service.settings import Settings, SettingsError
from service.storage import audit, retention
from service.storage.store import Act, Store, now, open_store
from service.storage.tables import AUDIT, AUDIT_HEAD, BATCHES, ECGS, ESTIMATES, FEEDBACK, METADATA, REPLAYS
from tests.service.postgres import Postgres

ACT = Act("somebody", "r1")


def count(store: Store, table: Any) -> int:
    with store.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def upload(dicom_bytes: bytes) -> dict[str, tuple[str, bytes]]:
    return {"file": ("Mustermann_Erika.dcm", dicom_bytes)}


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_the_migrations_make_the_tables(store: Store) -> None:
    with store.database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_programs_that_start_together_migrate_once(kept: dict[str, Any]) -> None:
    stores = [open_store(Settings(**kept)) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda store: store.database.ping(), stores))
    assert {store.secret for store in stores} == {stores[0].secret}
    for store in stores:
        assert count(store, AUDIT_HEAD) == 1
        store.database.close()


def written(store: Store, n: int) -> list[audit.Entry]:
    entries = []
    for number in range(n):
        with store.act() as connection:
            entries.append(store.record(connection, ACT, "test", str(number)))
    return entries


def fault(store: Store, known: str | None = None) -> str | None:
    with store.database.read() as connection:
        return audit.verify(connection, store.secret, known).fault


def test_parallel_writers_make_one_whole_chain(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: written(store, 5), range(4)))
    assert count(store, AUDIT) == 20
    assert fault(store) is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (update(AUDIT).where(AUDIT.c.seq == 2).values(actor="another"), "entry 2 was changed"),
        (delete(AUDIT).where(AUDIT.c.seq == 2), "entry 2 is missing"),
        (delete(AUDIT).where(AUDIT.c.seq == 1), "entry 1 is missing"),
        (delete(AUDIT).where(AUDIT.c.seq == 4), "entries after 3 were cut off"),
        (update(AUDIT).where(AUDIT.c.seq == 3).values(hash="0" * 64), "entry 3 was changed"),
    ],
)
def test_the_trail_shows_what_was_done_to_it(store: Store, change: Any, what: str) -> None:
    last = written(store, 4)[-1]
    assert fault(store, last.mark) is None
    with store.database.write() as connection:
        connection.execute(change)
    assert what in (fault(store) or "")


def test_a_cut_that_covers_its_tracks_is_found_with_a_log_line(store: Store) -> None:
    entries = written(store, 3)
    with store.database.write() as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq == 3))
        connection.execute(update(AUDIT_HEAD).values(seq=2, hash=entries[1].hash))
    assert fault(store) is None
    assert "does not hold" in (fault(store, entries[2].mark) or "")


def test_an_entry_of_another_past_is_found_though_its_own_hash_is_right(store: Store) -> None:
    """A backup was put back, the trail went on twice, and one entry is taken from the other past."""
    first, lost, _ = written(store, 3)
    with store.database.write() as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq > 1))
        connection.execute(update(AUDIT_HEAD).values(seq=1, hash=first.hash))
    written(store, 2)
    assert fault(store) is None
    with store.database.write() as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.seq == 2).values(**asdict(lost)))
    assert fault(store) == "entry 3 is missing or out of order"


def test_who_has_the_database_alone_cannot_forge_the_trail(store: Store) -> None:
    written(store, 2)
    with store.database.read() as connection:
        assert audit.verify(connection, b"x" * 32).fault == "entry 1 was changed"


def test_what_is_old_is_gone_and_the_rest_stays(keeping: TestClient, dicom_bytes: bytes) -> None:
    store: Store = keeping.app_state["store"]
    ids = [
        keeping.post("/v1/predict", files=upload(dicom_bytes), headers={"Idempotency-Key": str(n)}).headers[
            "x-estimate-id"
        ]
        for n in range(2)
    ]
    for made in ids:
        body = {"estimate_id": made, "potassium": 4.4, "unit": "mmol/L", "haemolysed": False}
        assert keeping.post("/v1/feedback", json=body | {"collected_at": "2013-01-25T10:59:19"}).status_code == 201
    keeping.post("/v1/batches", files=upload(dicom_bytes))
    old = now() - timedelta(days=store.retention_days + 1)
    with store.database.write() as connection:
        connection.execute(update(ESTIMATES).where(ESTIMATES.c.id == ids[0]).values(created_at=old))
        connection.execute(update(BATCHES).values(created_at=old))
        connection.execute(update(REPLAYS).values(created_at=now() - timedelta(hours=25)))
    assert retention.purge(store) == 2
    assert [count(store, table) for table in (ESTIMATES, FEEDBACK, BATCHES, REPLAYS)] == [1, 1, 0, 0]
    assert retention.purge(store) == 0
    assert fault(store) is None


def test_deleted_rows_are_gone_from_the_files(tmp_path: Path, bundle_folder: Path, dicom_bytes: bytes) -> None:
    settings = Settings(bundle=bundle_folder, data=tmp_path)
    with TestClient(create_app(settings)) as client:
        client.post("/v1/predict", files=upload(dicom_bytes), headers={"X-Request-ID": "marker-of-this-row"})
        store: Store = client.app_state["store"]
        with store.database.write() as connection:
            connection.execute(update(AUDIT).values(request_id="cut out of the trail, which stays"))
            connection.execute(update(ESTIMATES).values(caller="marker-of-this-caller"))
        assert b"marker-of-this-caller" in everything_in(tmp_path)
        with store.database.write() as connection:
            connection.execute(update(ESTIMATES).values(created_at=now() - timedelta(days=366)))
        assert retention.purge(store) == 1
        assert b"marker-of-this" not in everything_in(tmp_path)


@pytest.mark.parametrize("store_ecg", [False, True])
def test_no_ecg_and_no_name_is_kept_unless_told_to(
    tmp_path: Path, bundle_folder: Path, dicom_bytes: bytes, store_ecg: bool
) -> None:
    marked = dicom_bytes.replace(b"Anonymous", b"Mustermann"[:9]) + b"ECG-MARK"
    with TestClient(create_app(Settings(bundle=bundle_folder, data=tmp_path, store_ecg=store_ecg))) as client:
        assert client.post("/v1/predict", files=upload(marked)).status_code == 200
        assert count(client.app_state["store"], ECGS) == store_ecg
    kept_bytes = everything_in(tmp_path)
    assert (b"ECG-MARK" in kept_bytes) is store_ecg
    assert b"Mustermann_Erika" not in kept_bytes


def test_what_is_kept_is_readable_by_the_service_alone(tmp_path: Path, bundle_folder: Path, dicom_bytes: bytes) -> None:
    with TestClient(create_app(Settings(bundle=bundle_folder, data=tmp_path / "data"))) as client:
        client.post("/v1/batches", files=upload(dicom_bytes))
        paths = list((tmp_path / "data").rglob("*"))
        assert {path.name for path in paths} >= {"secret", "spool", "ecg_ka.sqlite3", "0"}
        for path in [tmp_path / "data", *paths]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("data", [None, "a file"])
def test_without_a_folder_estimates_are_given_and_the_rest_says_why_not(
    tmp_path: Path, bundle_folder: Path, dicom_bytes: bytes, data: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a file").touch()
    settings = Settings(bundle=bundle_folder, data=tmp_path / data / "x" if data else None)
    with TestClient(create_app(settings)) as client:
        assert client.get("/readyz").status_code == 200
        answer = client.post("/v1/predict", files=upload(dicom_bytes), headers={"Idempotency-Key": "a"})
        assert answer.status_code == 200
        assert "x-estimate-id" not in answer.headers
        off = client.post("/v1/batches", files=upload(dicom_bytes))
        assert (off.status_code, off.json()["type"]) == (501, "urn:ecg-ka:error:storage-off")
        assert "ECG_KA_DATA" in off.json()["detail"]


def test_postgresql_without_a_folder_that_can_be_written_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="ECG_KA_DATA"):
        open_store(Settings(data=tmp_path / "file" / "x", database=SecretStr("postgresql://a:secret@127.0.0.1/b")))
    with pytest.raises(SettingsError, match="PostgreSQL") as error:
        open_store(Settings(data=tmp_path, database=SecretStr("mysql://a:secret@127.0.0.1/b")))
    assert "secret" not in str(error.value)


def test_a_database_that_is_gone_is_said_and_comes_back(
    tmp_path: Path, bundle_folder: Path, dicom_bytes: bytes, postgres: Postgres
) -> None:
    settings = Settings(bundle=bundle_folder, data=tmp_path, database=SecretStr(postgres.new_database()))
    postgres.kill()
    try:
        with TestClient(create_app(settings)) as client:
            for answer in (client.get("/readyz"), client.post("/v1/predict", files=upload(dicom_bytes))):
                assert answer.status_code == 503
                assert answer.headers["retry-after"]
            postgres.start()
            assert client.post("/v1/predict", files=upload(dicom_bytes)).status_code == 200
            postgres.kill()
            answer = client.post("/v1/predict", files=upload(dicom_bytes))
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:ecg-ka:error:storage-unavailable")
            postgres.start()
            assert client.post("/v1/predict", files=upload(dicom_bytes)).status_code == 200
            assert count(client.app_state["store"], ESTIMATES) == 2
    finally:
        if postgres.process is None:
            postgres.start()


def test_a_full_disk_is_said_and_nothing_is_half_kept(store: Store) -> None:
    if not store.database.is_sqlite:
        return
    with store.database.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def fill() -> None:
        with store.act() as connection:  # the limit is that of this connection
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            for number in range(500):
                store.record(connection, ACT, "test", str(number) * 20)

    with pytest.raises(StorageUnavailable):
        fill()
    assert count(store, AUDIT) == 0
