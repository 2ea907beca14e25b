"""``python -m tests.verify.reliability``: measures load and faults at full length and writes docs/reliability.md.

It takes about half an hour on two cores, and root for the small disks. ``--requests`` and ``--turns`` make it shorter.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.service.conftest import Server
from tests.service.postgres import started as postgres_started
from tests.verify import faults, load, reliability_page
from tests.verify.ecgs import dicom_ecg, mixed_ecgs, wfdb_ecgs
from tests.verify.faults import Finding

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
N_WFDB = 18


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.verify.reliability", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="requests over which memory is watched (20000)")
    parser.add_argument("--turns", type=int, default=9, help="turns of library and service (9)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reliability.md")
    chosen = parser.parse_args()
    loads = [measured_load(storage, chosen.turns) for storage in ("none", "SQLite", "PostgreSQL")]
    found = list(measured_faults())
    with served("SQLite") as server:
        memory = load.memory(server, wfdb_ecgs(SHARED, N_WFDB), chosen.requests)
    with served("SQLite", {}) as server:
        overload = load.overload(server, wfdb_ecgs(SHARED, N_WFDB), 20.0)
    page = reliability_page.page(datetime.now(UTC).date(), loads, memory, overload, found)
    chosen.out.write_text(page)


@contextmanager
def served(storage: str, limits: dict[str, Any] = load.UNLIMITED) -> Iterator[Server]:
    """A pinned server with this storage; PostgreSQL has the clients' core, and waits for its disk."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kept: dict[str, Any] = {} if storage == "none" else {"data": folder / "data"}
        if storage == "PostgreSQL":
            stack.enter_context(load.at_the_clients())
            kept["database"] = stack.enter_context(postgres_started(fsync="on")).new_database()
        yield stack.enter_context(load.pinned(folder, **kept, **limits))


def measured_load(storage: str, n_turns: int) -> tuple[str, load.Throughput, load.Throughput]:
    """Files of every format, and those that are quickest to read."""
    with served(storage) as server:
        mixed = load.throughput(server, mixed_ecgs(SHARED), n_turns, n_rounds=8)
        quick = load.throughput(server, wfdb_ecgs(SHARED, N_WFDB), n_turns, n_rounds=16)
    return storage, mixed, quick


def measured_faults() -> Iterator[Finding]:
    """Every fault on every storage that can have it."""
    ecg = dicom_ecg(SHARED)
    with postgres_started() as postgres:
        for fault in (faults.api_killed, faults.worker_killed):
            for database in (None, postgres.new_database()):
                with _site(ecg, database) as site:
                    yield fault(site)
        for number in (signal.SIGKILL, signal.SIGINT):
            with _site(ecg, postgres.new_database()) as site:
                yield faults.database_ended(site, postgres, number)
        with _disk() as folder:
            site = faults.Site(folder, {"data": folder / "data", "database": postgres.new_database()}, ecg)
            try:
                yield faults.database_missing(site, postgres)
            finally:
                site.stop()
        with _disk() as disk, faults.started(disk.parent, {"data": disk / "data"}, ecg) as site:
            yield faults.disk_filled(site, disk, "SQLite and spool")
        with _disk() as disk, _postgres_on(disk) as address, _site(ecg, address) as site:
            yield faults.disk_filled(site, disk, "the database")
        kept = {"database": postgres.new_database()}
        with _disk() as disk, faults.started(disk.parent, {"data": disk / "data", **kept}, ecg) as site:
            yield faults.spool_filled(site, disk)


@contextmanager
def _site(ecg: bytes, database: str | None) -> Iterator[faults.Site]:
    with tempfile.TemporaryDirectory() as folder:
        kept: dict[str, Any] = {"data": Path(folder) / "data"} | ({"database": database} if database else {})
        with faults.started(Path(folder), kept, ecg) as site:
            yield site


@contextmanager
def _disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with faults.small_disk(Path(folder) / "disk") as disk:
            yield disk


@contextmanager
def _postgres_on(disk: Path) -> Iterator[str]:
    with postgres_started(disk) as server:
        yield server.new_database()


if __name__ == "__main__":
    main()
