"""ECG files made here, a real server on a free loopback port, and the same application in process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from pydicom.data import get_testdata_file

import ecg_ka
from service.app import create_app
from service.settings import Settings
from service.storage.store import Store, open_store

ROOT = Path(__file__).parents[2]
FS_HZ = 500


@dataclass(frozen=True)
class Server:
    """A running server: its client, its port, the file that its log goes to, and its process."""

    client: httpx2.Client
    port: int
    log: Path
    process: subprocess.Popen[bytes]

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="session")
def bundle_folder() -> Path:
    """The shipped bundle, or the one that the environment names."""
    return Path(os.environ.get("ECG_KA_BUNDLE", ecg_ka.SHIPPED))


@pytest.fixture(scope="session")
def estimator(bundle_folder: Path) -> ecg_ka.Estimator:
    return ecg_ka.Estimator.load(bundle_folder)


@pytest.fixture(scope="session")
def beats_mv() -> NDArray[np.float64]:
    """(12, 5000) mV at 500 Hz: 70 beats a minute of Gaussian P, QRS and T, scaled by lead, with a little noise."""
    t = np.arange(10 * FS_HZ) / FS_HZ
    since_r = (t + 0.4) % (60 / 70) - 0.4
    waves = ((0.12, -0.16, 0.02), (-0.1, -0.03, 0.008), (1.0, 0.0, 0.011), (-0.2, 0.03, 0.009), (0.3, 0.28, 0.045))
    lead_ii = sum(height * np.exp(-0.5 * ((since_r - at) / width) ** 2) for height, at, width in waves)
    scale = {"I": 0.6, "II": 1.0, "V1": -0.5, "V2": 0.7, "V3": 0.9, "V4": 1.2, "V5": 1.1, "V6": 0.9}
    scale |= {"III": 0.4, "aVR": -0.8, "aVL": 0.1, "aVF": 0.7}
    noise = np.random.default_rng(1).normal(0, 0.004, (12, t.size))
    return np.stack([scale[lead] * lead_ii for lead in ecg_ka.LEADS]) + noise


def csv(signal_mv: NDArray[np.float64], names: tuple[str, ...] = ecg_ka.LEADS) -> bytes:
    rows = [",".join(f"{name}_mV" for name in names), *(",".join(f"{v:.4f}" for v in row) for row in signal_mv.T)]
    return "\n".join(rows).encode() + b"\n"


def wfdb_pair(signal_mv: NDArray[np.float64], data_file: str = "rec.dat") -> dict[str, bytes]:
    """A header and a signal file of storage format 16, 1000 steps a mV."""
    steps = np.rint(signal_mv.T * 1000).astype("<i2")
    lines = [f"rec 12 {FS_HZ} {len(steps)}"]
    for lead, column in zip(ecg_ka.LEADS, steps.T, strict=True):
        checksum = int(column.sum()) & 0xFFFF
        lines.append(f"{data_file} 16 1000/mV 16 0 {column[0]} {checksum - 0x10000 * (checksum > 0x7FFF)} 0 {lead}")
    return {"rec.hea": "\n".join(lines).encode() + b"\n", "rec.dat": steps.tobytes()}


@pytest.fixture(scope="session")
def csv_of() -> Callable[..., bytes]:
    return csv


@pytest.fixture(scope="session")
def csv_bytes(beats_mv: NDArray[np.float64]) -> bytes:
    """A CSV that states its unit and not its sampling rate."""
    return csv(beats_mv)


@pytest.fixture(scope="session")
def json_bytes(beats_mv: NDArray[np.float64]) -> bytes:
    content = {"fs_hz": FS_HZ, "leads": list(ecg_ka.LEADS), "signal_mv": beats_mv.round(4).tolist()}
    return json.dumps(content).encode()


@pytest.fixture(scope="session")
def wfdb_of() -> Callable[..., dict[str, bytes]]:
    return wfdb_pair


@pytest.fixture(scope="session")
def dicom_bytes() -> bytes:
    """The real 12-lead ECG that pydicom carries."""
    path = get_testdata_file("waveform_ecg.dcm", download=False)
    assert isinstance(path, str)
    return Path(path).read_bytes()


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """The variables of a process with these settings; nothing of the machine's own."""
    chosen = {f"ECG_KA_{name.upper()}": str(value) for name, value in settings.items()}
    (folder / "home").mkdir(exist_ok=True)
    left_out = ("CI", "ORT_", "XDG_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**inherited, "HOME": str(folder / "home"), **chosen}


def program(folder: Path, *arguments: str, **settings: object) -> subprocess.Popen[bytes]:
    """``python -m service`` with these arguments and settings, as a process of its own."""
    command = [sys.executable, "-m", "service", *arguments]
    with (folder / "service.log").open("ab") as stderr:
        env = environment(folder, **settings)
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=stderr)


@contextmanager
def running(folder: Path, **settings: object) -> Iterator[Server]:
    """``python -m service`` with these settings, until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = folder / "service.log"
    with (
        program(folder, port=port, **settings) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client,
    ):
        try:
            _wait_until_ready(client, process, log)
            yield Server(client=client, port=port, log=log, process=process)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_ready(client: httpx2.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the server did not get ready: {log.read_text()}")


@pytest.fixture(scope="session")
def server(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server with the default limits."""
    with running(tmp_path_factory.mktemp("server"), bundle=bundle_folder) as started:
        yield started


@pytest.fixture(scope="session")
def narrow_server(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server for 1 MB, two bodies and one estimate at a time; it waits 3 s for a body and 1.5 s for headers."""
    limits: dict[str, float] = {"max_upload_mb": 1, "max_uploads": 2, "max_concurrent": 1, "max_connections": 10}
    limits |= {"upload_timeout_s": 3, "header_timeout_s": 1.5, "keep_alive_s": 1}
    with running(tmp_path_factory.mktemp("narrow"), bundle=bundle_folder, **limits) as started:
        yield started


@pytest.fixture
def client(bundle_folder: Path) -> Iterator[TestClient]:
    """The application in this process."""
    with TestClient(create_app(Settings(bundle=bundle_folder))) as started:
        yield started


@pytest.fixture
def store(kept: dict[str, Any]) -> Iterator[Store]:
    """An empty storage of each kind."""
    opened = open_store(Settings(**kept))
    yield opened
    opened.database.close()


@pytest.fixture
def keeping(kept: dict[str, Any], bundle_folder: Path) -> Iterator[TestClient]:
    """The application in this process, with an empty storage of each kind."""
    with TestClient(create_app(Settings(bundle=bundle_folder, **kept))) as started_client:
        yield started_client
