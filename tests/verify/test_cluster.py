"""A local Ray gives the rows that one process gives, also when a process of it is killed. Minutes on a busy machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from ecg_ka import SHIPPED
from ecg_ka.exporters.wfdb import record_wfdb
from ecg_ka.scoring import Job
from ecg_ka.scoring.job import Scorer
from ecg_ka.scoring.listing import found
from tests.ecg_ka.ecgs import ecg

pytest.importorskip("ray")

N_ECGS = 400


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for number in range(4):
        for name, data in record_wfdb(ecg(number, 4.0 + number), f"{number:03}").items():
            (folder / name).write_bytes(data)
    for number in range(4, N_ECGS):
        (folder / f"{number:03}.hea").write_bytes((folder / f"{number % 4:03}.hea").read_bytes())
    (folder / "007.hea").write_bytes(b"not an ECG")
    return folder


def rows_at(folder: Path) -> list[dict[str, object]]:
    parts = [pyarrow.parquet.ParquetFile(path).read().to_pylist() for path in folder.glob("rows/*.parquet")]
    return sorted((row for part in parts for row in part), key=lambda row: str(row["file"]))


def actors_below(parent: int) -> list[int]:
    """Processes of Ray that hold a model, among the descendants of a process."""
    parents, names = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            names[int(stat.parent.name)] = (stat.parent / "cmdline").read_bytes()
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ProcessLookupError):
            continue

    def is_below(process: int) -> bool:
        return process == parent or (process in parents and is_below(parents[process]))

    return [
        process
        for process, name in names.items()
        if name.startswith(b"ray::") and b").submit" in name and is_below(process)
    ]


@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes of Ray in /proc")
def test_the_rows_are_those_of_one_process_though_one_of_two_is_killed(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ecg_ka.cli", "score", archive.as_uri(), "--out", str(out), "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        killed = 0
        while running.poll() is None and not killed:
            time.sleep(0.02)
            for process in actors_below(running.pid)[:1]:
                os.kill(process, signal.SIGKILL)
                killed = process
        told, error = running.communicate(timeout=600)
    assert running.returncode == 2, error
    assert killed
    assert f"{N_ECGS - 1} estimated, 0 withheld, 1 refused" in told
    job = Job(inputs=(archive.as_uri(),), bundle=SHIPPED, level=0.9)
    alone = Scorer(job).rows([*found(job.inputs)])
    assert [list(row.values()) for row in rows_at(out)] == sorted(alone, key=lambda row: str(row[0]))
    assert (out / "rejects.csv").read_text().count("UnknownFormat") == 1
