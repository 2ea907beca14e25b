"""Batches: told apart, worked on by real processes, killed at any moment; nothing is lost and nothing done twice."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from sqlalchemy import func, select, update

import ecg_ka
from service.batches import rows
from service.batches.worker import Worker
from service.errors import StorageUnavailable
from service.settings import Settings
from service.storage import audit, batches
from service.storage.store import Act, Store, now, open_store
from service.storage.tables import AUDIT, BATCHES, ESTIMATES, ITEMS
from tests.service.conftest import program, running
from tests.service.postgres import Postgres

ACT = Act("somebody", "r1")


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (f"{number}.bin", content)) for number, content in enumerate(contents)]


def zipped(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def work(store: Store, estimator: ecg_ka.Estimator, lease_s: float = 60) -> None:
    """A worker in this process, until nothing waits."""
    worker = Worker(store, estimator, lease_s)
    while worker._work():
        pass


def count(store: Store, *conditions: Any, of: Any = ITEMS) -> int:
    with store.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(of).where(*conditions)).scalar_one())


def test_results_are_the_answers_of_predict_in_the_order_sent(
    keeping: TestClient, estimator: ecg_ka.Estimator, dicom_bytes: bytes, json_bytes: bytes
) -> None:
    store: Store = keeping.app_state["store"]
    submitted = keeping.post("/v1/batches", files=files(dicom_bytes, b"junk", json_bytes), data={"level": "0.8"})
    assert submitted.status_code == 202
    batch = submitted.json()["batch"]
    assert [ecg["names"] for ecg in submitted.json()["ecgs"]] == [["0.bin"], ["1.bin"], ["2.bin"]]
    assert (batch["state"], batch["n_ecgs"], batch["n_done"], batch["n_workers"]) == ("running", 3, 0, 0)
    address = submitted.headers["location"]
    assert keeping.get(f"{address}/results.ndjson").text == ""
    work(store, estimator)
    done = keeping.get(address).json()
    assert (done["state"], done["n_done"], done["n_refused"]) == ("done", 3, 1)
    lines = [json.loads(line) for line in keeping.get(f"{address}/results.ndjson").text.splitlines()]
    assert [(line["position"], line["status"]) for line in lines] == [(0, 200), (1, 415), (2, 200)]
    expected = keeping.post("/v1/predict", files=files(dicom_bytes), data={"level": "0.8"}).json()
    assert {**lines[0]["estimate"], "timing_ms": 0} == {**expected, "timing_ms": 0}
    assert (lines[1]["estimate"], lines[1]["problem"]["type"]) == (None, "urn:ecg-ka:error:unknown-format")
    lines_of_csv = list(csv.DictReader(io.StringIO(keeping.get(f"{address}/results.csv").text)))
    assert float(lines_of_csv[0]["potassium_mmol_l"]) == expected["potassium_mmol_l"]
    assert lines_of_csv[0]["disclaimer"] == ecg_ka.DISCLAIMER
    assert lines_of_csv[1]["problem"] == "urn:ecg-ka:error:unknown-format"
    assert lines_of_csv[2]["estimate_id"] == lines[2]["estimate_id"]
    assert list(store.spool.root.iterdir()) == []


def test_ecgs_are_told_apart(
    keeping: TestClient,
    estimator: ecg_ka.Estimator,
    beats_mv: NDArray[np.float64],
    wfdb_of: Callable[..., dict[str, bytes]],
    dicom_bytes: bytes,
) -> None:
    pair = wfdb_of(beats_mv)
    buffer = io.BytesIO()
    np.savez(buffer, signal_mv=beats_mv, fs_hz=500, leads=np.array(ecg_ka.LEADS))
    outer = {f"{folder}/{name}": data for folder in ("p1", "p2") for name, data in pair.items()}
    outer |= {"p3.dcm": dicom_bytes, "p4.zip": zipped(pair), "__MACOSX/._p3.dcm": b"x", ".DS_Store": b"x"}
    sent = [("file", ("many.zip", zipped(outer))), ("file", ("a.npz", buffer.getvalue()))]
    sent += [("file", (name, data)) for name, data in pair.items()]
    submitted = keeping.post("/v1/batches", files=sent)
    assert [ecg["names"] for ecg in submitted.json()["ecgs"]] == [
        ["p1/rec.hea", "p1/rec.dat"],
        ["p2/rec.hea", "p2/rec.dat"],
        ["p3.dcm"],
        ["p4.zip"],
        ["a.npz"],
        ["rec.hea", "rec.dat"],
    ]
    work(keeping.app_state["store"], estimator)
    text = keeping.get(submitted.headers["location"] + "/results.ndjson").text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 200, 200, lines[4]["status"], 200]
    same = {lines[number]["estimate"]["potassium_mmol_l"] for number in (0, 1, 3, 5)}
    assert len(same) == 1


@pytest.mark.parametrize("sent", [[], [("file", ("a.zip", zipped({})))], [("file", ("a.zip", zipped({".x": b"1"})))]])
def test_a_batch_without_an_ecg_is_refused(keeping: TestClient, sent: Any) -> None:
    answer = keeping.post("/v1/batches", files=sent or {"other": ("a", b"")})
    assert answer.status_code == 422


def test_who_lost_the_lease_keeps_nothing(store: Store, estimator: ecg_ka.Estimator, dicom_bytes: bytes) -> None:
    batch_id = batches.submit(store, ACT, {}, [dicom_bytes], "")
    first, second = Worker(store, estimator, 60), Worker(store, estimator, 60)
    slow = batches.claim(store, "slow", -1)  # its lease has run out already
    assert slow is not None
    assert batches.claim(store, "second", 60) is not None
    with store.database.write() as connection:  # the second dies too
        connection.execute(update(ITEMS).values(lease_until=now() - timedelta(seconds=1)))
    outcome = first._outcome(slow)
    assert batches.prolong(store, slow, 60) is False
    assert batches.finish(store, slow, outcome) is False
    assert (count(store, of=ESTIMATES), store.spool.positions(batch_id)) == (0, [0])
    assert second._work() is True
    assert (count(store, of=ESTIMATES), store.spool.positions(batch_id)) == (1, [])
    assert batches.finish(store, slow, outcome) is False
    assert count(store, of=ESTIMATES) == 1


def test_an_ecg_that_kills_its_workers_is_given_up(
    store: Store, estimator: ecg_ka.Estimator, dicom_bytes: bytes
) -> None:
    batch_id = batches.submit(store, ACT, {}, [dicom_bytes], "")
    for _ in range(batches.MAX_ATTEMPTS):
        assert batches.claim(store, "dies", -1) is not None
    work(store, estimator)
    (result,) = batches.results(store, batch_id)
    assert (result["status"], result["answer"]["type"]) == (500, "urn:ecg-ka:error:workers-died")
    assert count(store, of=ESTIMATES) == 0


def test_parallel_workers_claim_each_ecg_once(store: Store) -> None:
    batches.submit(store, ACT, {}, [b"x"] * 30, "")
    claimed: list[int] = []

    def claim_all(name: str) -> None:
        while (item := batches.claim(store, name, 60)) is not None:
            claimed.append(item.position)

    threads = [threading.Thread(target=claim_all, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == list(range(30))


def test_a_deleted_batch_is_gone_also_for_the_worker_that_holds_it(
    store: Store, estimator: ecg_ka.Estimator, dicom_bytes: bytes
) -> None:
    batch_id = batches.submit(store, ACT, {}, [dicom_bytes], "")
    held = batches.claim(store, "w", 60)
    assert held is not None
    outcome = Worker(store, estimator, 60)._outcome(held)
    batches.remove(store, ACT, batch_id, None)
    assert batches.finish(store, held, outcome) is False
    assert (count(store), count(store, of=ESTIMATES), list(store.spool.root.iterdir())) == (0, 0, [])


def test_what_a_dead_process_left_in_the_spool_is_swept_and_the_rest_is_not(store: Store) -> None:
    pending = batches.submit(store, ACT, {}, [b"x", b"y"], "")
    store.spool.write("f" * 32, 0, b"received, and then the API was killed")
    with store.database.write() as connection:  # kept, and then the worker was killed
        connection.execute(update(ITEMS).where(ITEMS.c.position == 1).values(state="done"))
    assert batches.sweep(store, 3600) == 0
    assert batches.sweep(store, -1) == 2
    assert [path.name for path in store.spool.root.iterdir()] == [pending]
    assert store.spool.positions(pending) == [0]


def check_nothing_lost_or_twice(store: Store, n_ecgs: int) -> None:
    assert count(store, ITEMS.c.state == "done") == count(store) == n_ecgs
    assert count(store, of=ESTIMATES) == n_ecgs
    with store.database.read() as connection:
        ids = connection.execute(select(ITEMS.c.estimate_id)).scalars().all()
        assert audit.verify(connection, store.secret).fault is None
    assert len(set(ids)) == n_ecgs
    assert count(store, AUDIT.c.action == "estimate.create", of=AUDIT) == n_ecgs
    assert count(store, BATCHES.c.finished_at.is_(None), of=BATCHES) == 0
    assert batches.sweep(store, -1) <= 1  # a worker killed between its transaction and its clearing up left one
    assert list(store.spool.root.iterdir()) == []


def wait_for(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(StorageUnavailable):
            if happens():
                return
        time.sleep(0.02)
    pytest.fail("it did not happen within 120 s")


def _has_gone_on(store: Store, n_done: int) -> bool:
    return count(store, ITEMS.c.state == "done") > n_done


def end(process: subprocess.Popen[bytes], number: int) -> None:
    process.send_signal(number)
    process.wait(timeout=60)


def test_workers_killed_at_any_moment_lose_nothing_and_do_nothing_twice(
    kept: dict[str, Any], tmp_path: Path, bundle_folder: Path, dicom_bytes: bytes
) -> None:
    store = open_store(Settings(**kept))
    n_ecgs = 16
    batches.submit(store, ACT, {}, [dicom_bytes] * n_ecgs, "")
    settings = {**kept, "bundle": bundle_folder, "lease_s": 2}
    rng = np.random.default_rng(0)
    for _ in range(2):
        n_done = count(store, ITEMS.c.state == "done")
        doomed = program(tmp_path, "worker", **settings)
        wait_for(partial(_has_gone_on, store, n_done))
        time.sleep(float(rng.uniform(0, 0.1)))
        end(doomed, signal.SIGKILL)
    last = program(tmp_path, "worker", **settings)
    wait_for(lambda: count(store, ITEMS.c.state == "done") == n_ecgs)
    end(last, signal.SIGTERM)
    assert last.returncode == 0
    check_nothing_lost_or_twice(store, n_ecgs)
    store.database.close()


def test_a_database_killed_while_workers_work_loses_nothing(
    postgres: Postgres, tmp_path: Path, bundle_folder: Path, dicom_bytes: bytes
) -> None:
    kept: dict[str, Any] = {"data": tmp_path / "data", "database": postgres.new_database()}
    store = open_store(Settings(**kept))
    n_ecgs = 12
    batches.submit(store, ACT, {}, [dicom_bytes] * n_ecgs, "")
    worker = program(tmp_path, "worker", **kept, bundle=bundle_folder, lease_s=2)
    wait_for(lambda: count(store, ITEMS.c.state == "done") > 0)
    postgres.kill()
    postgres.start()
    wait_for(lambda: count(store, ITEMS.c.state == "done") == n_ecgs)
    end(worker, signal.SIGTERM)
    check_nothing_lost_or_twice(store, n_ecgs)
    store.database.close()


def test_an_api_killed_at_any_moment_keeps_whole_batches_or_none(
    kept: dict[str, Any],
    tmp_path: Path,
    bundle_folder: Path,
    estimator: ecg_ka.Estimator,
    dicom_bytes: bytes,
) -> None:
    store = open_store(Settings(**kept))
    accepted: set[str] = set()
    n_ecgs = 8

    def submit(client: httpx2.Client, key: str) -> None:
        try:
            answer = client.post("/v1/batches", files=files(*[dicom_bytes] * n_ecgs), headers={"Idempotency-Key": key})
        except httpx2.TransportError:
            return
        assert answer.status_code == 202, answer.text
        accepted.add(answer.json()["batch"]["id"])

    for number, delay_s in enumerate((0.05, 0.15)):
        with running(tmp_path, bundle=bundle_folder, **kept) as server:
            sender = threading.Thread(target=submit, args=(server.client, str(number)))
            sender.start()
            time.sleep(delay_s)
            server.process.kill()
            sender.join()
    with running(tmp_path, bundle=bundle_folder, **kept) as server:
        for number in range(2):  # the caller, who got no answer, sends it again
            submit(server.client, str(number))
    assert len(accepted) == count(store, of=BATCHES) == 2
    batches.sweep(store, -1)
    for batch_id in accepted:
        assert store.spool.positions(batch_id) == list(range(n_ecgs))
    work(store, estimator)
    check_nothing_lost_or_twice(store, 2 * n_ecgs)
    store.database.close()


def test_a_worker_says_that_it_lives_and_ends_when_told(tmp_path: Path, bundle_folder: Path) -> None:
    settings = {"data": tmp_path / "data", "bundle": bundle_folder}
    worker = program(tmp_path, "worker", **settings)
    with running(tmp_path, **settings) as server:
        wait_for(lambda: "ecg_ka_batch_workers 1.0" in server.client.get("/metrics").text)
        end(worker, signal.SIGTERM)
        assert worker.returncode == 0
        assert "ecg_ka_batch_workers 0.0" in server.client.get("/metrics").text
    assert program(tmp_path, "worker").wait(60) == 2  # nothing to work on


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_a_spreadsheet_takes_no_cell_for_a_formula(start: str) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    result = {"position": -1, "status": 415, "estimate_id": None, "answer": {"type": text}}
    (position, *_, problem, _disclaimer) = [*csv.reader(list(rows.as_csv([result])))][1]
    assert (position, problem) == ("-1", f"'{text}")
