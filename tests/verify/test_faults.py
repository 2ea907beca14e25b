"""What fails beside the service, or is killed, costs no answer that was given, and nobody has to put it right."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.required import missing
from tests.service.postgres import Postgres
from tests.service.postgres import started as postgres_started
from tests.verify import faults
from tests.verify.ecgs import dicom_ecg
from tests.verify.faults import Finding

pytestmark = [pytest.mark.shared, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def ecg(shared_data: Path) -> bytes:
    return dicom_ecg(shared_data)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk that every user can reach."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecg-ka-disk-")))
        folder.chmod(0o755)
        try:
            yield stack.enter_context(faults.small_disk(folder / "disk"))
        except PermissionError as error:
            missing("tmpfs", str(error))


def check(finding: Finding) -> None:
    assert finding.n_lost == finding.n_twice == 0, finding
    assert finding.trail_is_whole, finding
    assert finding.is_clear, finding


def test_a_killed_api(kept: dict[str, Any], tmp_path: Path, ecg: bytes) -> None:
    with faults.started(tmp_path, kept, ecg) as site:
        check(faults.api_killed(site))


def test_a_killed_worker(kept: dict[str, Any], tmp_path: Path, ecg: bytes) -> None:
    with faults.started(tmp_path, kept, ecg) as site:
        check(faults.worker_killed(site))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_database_that_ends(number: signal.Signals, postgres: Postgres, tmp_path: Path, ecg: bytes) -> None:
    kept = {"data": tmp_path / "data", "database": postgres.new_database()}
    with faults.started(tmp_path, kept, ecg) as site:
        finding = faults.database_ended(site, postgres, number)
    check(finding)
    assert finding.seen["503 storage-unavailable"] > 0


def test_a_database_that_is_not_there_at_the_start(postgres: Postgres, tmp_path: Path, ecg: bytes) -> None:
    kept = {"data": tmp_path / "data", "database": postgres.new_database()}
    site = faults.Site(tmp_path, kept, ecg)
    try:
        finding = faults.database_missing(site, postgres)
    finally:
        site.stop()
    check(finding)
    assert finding.seen["503 storage-unavailable"] > 0


def test_a_full_disk_under_sqlite(disk: Path, tmp_path: Path, ecg: bytes) -> None:
    with faults.started(tmp_path, {"data": disk / "data"}, ecg) as site:
        finding = faults.disk_filled(site, disk, "SQLite and spool")
    check(finding)
    assert finding.seen["503 storage-unavailable"] > 0


def test_a_full_disk_under_postgresql(disk: Path, tmp_path: Path, ecg: bytes) -> None:
    with postgres_started(disk) as server:
        kept = {"data": tmp_path / "data", "database": server.new_database()}
        with faults.started(tmp_path, kept, ecg) as site:
            finding = faults.disk_filled(site, disk, "the database")
    check(finding)
    assert finding.seen["503 storage-unavailable"] > 0


def test_a_full_disk_under_the_spool(disk: Path, postgres: Postgres, tmp_path: Path, ecg: bytes) -> None:
    kept = {"data": disk / "data", "database": postgres.new_database()}
    with faults.started(tmp_path, kept, ecg) as site:
        finding = faults.spool_filled(site, disk)
    check(finding)
    assert finding.seen["503 storage-unavailable"] == 1
