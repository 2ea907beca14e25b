"""Another model takes over while requests and batches go on: none of them fails, each names its model."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from safetensors.numpy import load

import ecg_ka
from ecg_ka.bundle import load_bundle, save_bundle
from ecg_ka.references import FILE, write_references
from service import __main__ as program
from service.app import create_app
from service.errors import StorageUnavailable
from service.models import Models
from service.settings import Settings
from service.storage.store import Act, open_store
from tests.service.conftest import Server, running
from tests.service.conftest import program as process

N_CLIENTS = 2


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory, bundle_folder: Path) -> dict[str, Path]:
    """Two editions of one bundle."""
    folder = tmp_path_factory.mktemp("bundles")
    made: dict[str, Path] = {}
    bundle = load_bundle(bundle_folder)
    for version in ("8.1", "8.2"):
        made[version] = folder / version
        save_bundle(replace(bundle, provenance=replace(bundle.provenance, version=version)), made[version])
        write_references(made[version])
    return made


@pytest.fixture
def link(tmp_path: Path, bundles: dict[str, Path]) -> Path:
    """Where ECG_KA_BUNDLE leads: to the first edition."""
    made = tmp_path / "current"
    made.symlink_to(bundles["8.1"])
    return made


@pytest.fixture
def use(link: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """``python -m service model use FOLDER``, for that link."""

    def run(folder: Path) -> int:
        with monkeypatch.context() as patch:
            patch.setenv("ECG_KA_BUNDLE", str(link))
            patch.setattr(sys, "argv", ["service", "model", "use", str(folder)])
            return program.main()

    return run


@pytest.fixture
def client(link: Path, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(bundle=link, data=tmp_path / "data"))) as started:
        yield started


def version_at(client: Any) -> str:
    return str(client.get("/v1/model").json()["identity"]["version"])


def wait_for(version: str, client: httpx2.Client) -> None:
    deadline = time.monotonic() + 60
    while version_at(client) != version:
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Callers:
    """Clients that ask for estimates one after the other until told to stop; ``answers`` are status and version."""

    def __init__(self, server: Server, ecg: bytes) -> None:
        self._url = f"http://127.0.0.1:{server.port}/v1/predict"
        self._ecg = ecg
        self._stop = threading.Event()
        self.answers: list[list[tuple[int, str]]] = [[] for _ in range(N_CLIENTS)]
        self._threads = [threading.Thread(target=self._ask, args=(mine,)) for mine in self.answers]

    def _ask(self, mine: list[tuple[int, str]]) -> None:
        with httpx2.Client(timeout=60, trust_env=False) as client:
            while not self._stop.is_set():
                answer = client.post(self._url, files={"file": ("a", self._ecg)})
                mine.append((answer.status_code, answer.json().get("model", {}).get("version", "none")))

    def answered(self, more: int) -> None:
        """Wait until each client got so many more answers."""
        goal = [len(mine) + more for mine in self.answers]
        while not all(len(mine) >= n for mine, n in zip(self.answers, goal, strict=True)):
            assert all(thread.is_alive() for thread in self._threads)
            time.sleep(0.02)

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def without_repetition(versions: list[str]) -> list[str]:
    return [version for i, version in enumerate(versions) if i == 0 or version != versions[i - 1]]


def test_no_request_fails_while_models_come_and_go(
    tmp_path: Path, link: Path, bundles: dict[str, Path], use: Callable[[Path], int], dicom_bytes: bytes
) -> None:
    with running(tmp_path, bundle=link, data=tmp_path / "data") as server, Callers(server, dicom_bytes) as callers:
        callers.answered(3)
        assert use(bundles["8.2"]) == 0
        callers.answered(1)
        assert version_at(server.client) == "8.1"  # nothing happens by itself
        change = server.client.post("/v1/model/reload").json()
        assert (change["before"]["version"], change["now"]["version"]) == ("8.1", "8.2")
        callers.answered(3)
        shutil.copytree(bundles["8.1"], tmp_path / "damaged")
        (tmp_path / "damaged" / "model.onnx").write_bytes(b"other")
        link.unlink()
        link.symlink_to(tmp_path / "damaged")
        assert server.client.post("/v1/model/reload").status_code == 409
        callers.answered(3)
        assert use(bundles["8.1"]) == 0
        server.process.send_signal(signal.SIGHUP)
        wait_for("8.1", server.client)
        callers.answered(3)
    for mine in callers.answers:
        assert {status for status, _ in mine} == {200}
        assert without_repetition([version for _, version in mine]) == ["8.1", "8.2", "8.1"]


def test_a_batch_goes_on_under_another_model_and_says_so(
    tmp_path: Path, link: Path, bundles: dict[str, Path], use: Callable[[Path], int], dicom_bytes: bytes
) -> None:
    kept: dict[str, object] = {"bundle": link, "data": tmp_path / "data"}
    many = [("file", (f"{number}.dcm", dicom_bytes)) for number in range(12)]
    with running(tmp_path, **kept) as server, process(tmp_path, "worker", **kept) as worker:
        try:
            first = server.client.post("/v1/batches", files=many).headers["location"]
            done_of(server.client, first, 1)
            assert use(bundles["8.2"]) == 0
            worker.send_signal(signal.SIGHUP)
            done_of(server.client, first, len(many))
            wait_for_log(server, '"8.2"')
            second = server.client.post("/v1/batches", files=many[:2]).headers["location"]
            done_of(server.client, second, 2)
            versions = [versions_of(server.client, batch) for batch in (first, second)]
            csv = server.client.get(f"{second}/results.csv").text
        finally:
            worker.terminate()
    assert len(versions[0]) == len(many)
    assert without_repetition(versions[0]) in (["8.1"], ["8.1", "8.2"])
    assert versions[1] == ["8.2", "8.2"]
    assert csv.count(load_bundle(bundles["8.2"]).sha256) == 2


def done_of(client: httpx2.Client, batch: str, n: int) -> None:
    deadline = time.monotonic() + 120
    while client.get(batch).json()["n_done"] < n:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_log(server: Server, words: str) -> None:
    deadline = time.monotonic() + 60
    while words not in server.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def versions_of(client: httpx2.Client, batch: str) -> list[str]:
    lines = [json.loads(line) for line in client.get(f"{batch}/results.ndjson").text.splitlines()]
    return [line["estimate"]["model"]["version"] for line in lines]


def lost_references(folder: Path) -> None:
    (folder / FILE).unlink()


def other_hash(folder: Path) -> None:
    (folder / "metrics.json").write_text("{}")


def unknown_signal(folder: Path) -> None:
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["signal"]["notch_hz"] = 50
    (folder / "bundle.json").write_text(json.dumps(manifest))


def other_answers(folder: Path) -> None:
    bundle = load_bundle(folder)
    calibration = bundle.calibration
    wider = {name: scores * 2 for name, scores in load((folder / "calibration.safetensors").read_bytes()).items()}
    step = calibration.distribution.label_step_mmol_l
    other = type(calibration).from_arrays(wider, bundle.regions, step, calibration.operating_points)
    save_bundle(replace(bundle, calibration=other), folder)
    with_its_name(folder)


def with_its_name(folder: Path) -> None:
    """References that claim to be those of this bundle."""
    with np.load(folder / FILE) as found:
        arrays = dict(found)
    arrays["model_sha256"] = np.array(load_bundle(folder).sha256)
    np.savez(folder / FILE, allow_pickle=False, **arrays)


FAULTS: dict[Callable[[Path], None], str] = {
    lost_references: "no reference ECGs",
    other_hash: "differs from its hash",
    unknown_signal: "notch_hz",
    other_answers: "reference ECG",
}


@pytest.mark.parametrize("damage", FAULTS, ids=lambda damage: damage.__name__)
def test_what_is_refused_changes_nothing(
    damage: Callable[[Path], None], client: TestClient, link: Path, bundles: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bundles["8.2"], tmp_path / "new"))
    damage(folder)
    link.unlink()
    link.symlink_to(folder)
    refusal = client.post("/v1/model/reload")
    assert (refusal.status_code, refusal.json()["type"]) == (409, "urn:ecg-ka:error:model-refused")
    assert FAULTS[damage] in refusal.json()["detail"]
    assert version_at(client) == "8.1"
    assert client.get("/readyz").status_code == 200
    assert "ecg_ka_bundle_refused 1.0" in client.get("/metrics").text


def test_a_change_stands_in_the_trail_and_in_the_metrics(
    client: TestClient, use: Callable[[Path], int], bundles: dict[str, Path]
) -> None:
    assert use(bundles["8.2"]) == 0
    change = client.post("/v1/model/reload").json()
    assert change["n_references"] == 5
    assert change["largest_difference"] < 0.001
    sha256 = load_bundle(bundles["8.2"]).sha256
    deeds = [(entry["action"], entry["object"]) for entry in client.get("/v1/audit").json()["entries"]]
    assert deeds.count(("model.use", sha256)) == 1
    text = client.get("/metrics").text
    assert f'sha256="{sha256}",version="8.2"}} 1.0' in text
    assert "ecg_ka_bundle_refused 0.0" in text
    client.post("/v1/model/reload")  # the same again is no change
    assert len(client.get("/v1/audit").json()["entries"]) == len(deeds)


def test_no_model_takes_over_without_its_entry_in_the_trail(
    link: Path, bundles: dict[str, Path], tmp_path: Path
) -> None:
    models = Models(link, threads=1)
    models.start()
    store = open_store(Settings(data=tmp_path / "data", database=SecretStr("postgresql://a:b@127.0.0.1:1/c")))
    link.unlink()
    link.symlink_to(bundles["8.2"])
    with pytest.raises(StorageUnavailable):
        models.reload(store, Act("operator", "test"))
    assert models.current is not None
    assert models.current.bundle.provenance.version == "8.1"


def test_a_service_without_a_model_gets_one(tmp_path: Path, bundles: dict[str, Path]) -> None:
    link = tmp_path / "current"
    with TestClient(create_app(Settings(bundle=link))) as client:
        assert client.get("/readyz").status_code == 503
        link.symlink_to(bundles["8.2"])
        assert client.post("/v1/model/reload").json()["before"] is None
        assert client.get("/readyz").status_code == 200


def test_only_an_administrator_changes_the_model(link: Path, tmp_path: Path) -> None:
    from service.storage import keys

    token, key = keys.new_key("archive", ["predict", "feedback"], None)
    file = tmp_path / "keys.jsonl"
    line = {"id": key.id, "name": key.name, "scopes": sorted(key.scopes), "sha256": key.sha256}
    file.write_text(json.dumps(line))
    with TestClient(create_app(Settings(bundle=link, keys_file=file))) as client:
        assert client.post("/v1/model/reload").status_code == 401
        assert client.post("/v1/model/reload", headers={"X-API-Key": token}).status_code == 403


def test_a_bundle_that_fails_is_not_linked(
    use: Callable[[Path], int], link: Path, bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(bundles["8.2"], tmp_path / "new"))
    other_answers(folder)
    assert use(folder) == 2
    assert "reference ECG" in capsys.readouterr().err
    lost_references(folder)
    assert use(folder) == 1
    assert link.readlink() == bundles["8.1"]


def test_a_folder_is_not_replaced_by_a_link(
    use: Callable[[Path], int], link: Path, bundles: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    link.unlink()
    shutil.copytree(bundles["8.1"], link)
    assert use(bundles["8.2"]) == 2
    assert "no symbolic link" in capsys.readouterr().err
    assert ecg_ka.Estimator.load(link).bundle.provenance.version == "8.1"
