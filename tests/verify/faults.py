"""Faults, each done to a real service under load: what its callers saw, what was lost, how long until it was as before.

The callers insist: each request has an ``Idempotency-Key`` and is sent again until it is answered 200. Lost is an
answer that a caller got and the store has not; twice is a request that the store has more than once.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import func, select

from service.errors import StorageUnavailable
from service.settings import Settings
from service.storage import audit
from service.storage.store import Store, open_store
from service.storage.tables import AUDIT, ESTIMATES, ITEMS
from tests.service.conftest import program
from tests.service.postgres import Postgres
from tests.verify.clients import Answer, Body, Load, ask_once, body_of, get, loaded

T = TypeVar("T")

N_CLIENTS = 4
LEASE_S = 2
_N_ECGS = 10  # of the batch that is under way when the fault comes
_N_ANSWERS = 12  # before the fault comes, and after it is over
_OUTAGE_S = 2.0
_DISK_MB = 200  # room for an empty PostgreSQL
_WAIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one fault did. ``seen`` counts the answers from the fault to the recovery; ``recovery_s`` runs from the end
    of the fault, or from the fault itself where the service is what was killed."""

    fault: str
    storage: str
    seen: dict[str, int]
    slowest_refusal_s: float
    is_clear: bool
    n_acknowledged: int
    n_lost: int
    n_twice: int
    trail_is_whole: bool
    recovery_s: float


@dataclass(slots=True)
class Site:
    """A service with its storage, what is needed to start, kill and ask it, and the ECG that it is asked about."""

    folder: Path
    kept: dict[str, Any]
    ecg: bytes
    port: int = field(default_factory=lambda: _free_port())
    api: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Body]:
        return [body_of({"ecg": self.ecg})]

    @property
    def storage(self) -> str:
        return "PostgreSQL" if "database" in self.kept else "SQLite"

    def start_api(self) -> None:
        self.api = self._program(port=self.port, rate_limit_per_s=10_000)

    def start_worker(self) -> None:
        self.workers.append(self._program("worker"))

    def kill_api(self) -> None:
        assert self.api is not None
        self.api.kill()
        self.api.wait()

    def stop(self) -> None:
        processes = [*self.workers, *([self.api] if self.api else [])]
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)

    def wait_until(self, status: int, path: str = "/readyz") -> Answer:
        return wait_for(lambda: next((one for one in [get(self.port, path)] if one.status == status), None))

    def submit(self, n_ecgs: int) -> Answer:
        """A batch of so many ECGs."""
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%d"\r\n\r\n%s\r\n'
        parts = [head % (number, self.ecg) for number in range(n_ecgs)]
        return ask_once(self.port, Body(b"".join(parts) + b"--b--\r\n", "b").request("/v1/batches", None))

    @contextmanager
    def store(self) -> Iterator[Store]:
        opened = open_store(Settings(**self.kept))
        try:
            yield opened
        finally:
            opened.database.close()

    def _program(self, *arguments: str, **settings: object) -> subprocess.Popen[bytes]:
        return program(self.folder, *arguments, **self.kept, lease_s=LEASE_S, **settings)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(folder: Path, kept: dict[str, Any], ecg: bytes) -> Iterator[Site]:
    """An API and a worker; both are ready."""
    site = Site(folder, kept, ecg)
    site.start_api()
    site.start_worker()
    try:
        site.wait_until(200)
        yield site
    finally:
        site.stop()


def wait_for(happens: Callable[[], T | None]) -> T:
    """What ``happens`` gives, once it gives something.

    Raises:
        TimeoutError: it did not within two minutes.
    """
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        with suppress(StorageUnavailable):
            if found := happens():
                return found
        time.sleep(0.02)
    raise TimeoutError(f"it did not happen within {_WAIT_S:g} s")


Harm = Callable[[Load], tuple[float, float | None]]
"""What does harm, and tells from when recovery counts and when it came; None: with the next answer to a client."""


def found(site: Site, fault: str, harm: Harm) -> Finding:
    """Load the service, do harm, wait until it is over, and look at what is kept."""
    assert site.submit(_N_ECGS).status == 202
    with loaded(Load(site.port, site.bodies, insists=True), N_CLIENTS) as load:
        wait_for(lambda: len(load.good) >= _N_ANSWERS)
        began = time.monotonic()
        over, recovered = harm(load)
        recovered = recovered or wait_for(lambda: _next_good(load, over))
        n_good = len(load.good)
        wait_for(lambda: len(load.good) >= n_good + _N_ANSWERS)
    with site.store() as store:
        wait_for(lambda: _count(store, ITEMS.c.state != "done", of=ITEMS) == 0)
        return _judged(site, store, load, Moments(fault, began, over, recovered))


def _next_good(load: Load, over: float) -> float | None:
    return next((one.at for one in load.good if one.at - one.seconds >= over), None)


@dataclass(frozen=True, slots=True)
class Moments:
    """When which fault came, when it was over, and when the first request after it was answered."""

    fault: str
    began: float
    over: float
    recovered: float


def _judged(site: Site, store: Store, load: Load, moments: Moments) -> Finding:
    answers = [one for one in load.answers if moments.began <= one.at <= max(moments.recovered, moments.over)]
    refusals = [one for one in answers if one.status not in (0, 200)]
    acknowledged = {one.headers["x-estimate-id"] for one in load.good}
    with store.database.read() as connection:
        predicted = set(connection.execute(select(ESTIMATES.c.id).where(ESTIMATES.c.source == "predict")).scalars())
        in_batches = set(connection.execute(select(ESTIMATES.c.id).where(ESTIMATES.c.source == "batch")).scalars())
        promised = connection.execute(select(ITEMS.c.estimate_id)).scalars().all()
        trail = audit.verify(connection, store.secret)
    n_entries = _count(store, AUDIT.c.action == "estimate.create", of=AUDIT)
    return Finding(
        fault=moments.fault,
        storage=site.storage,
        seen=Counter(_named(one) for one in answers),
        slowest_refusal_s=max((one.seconds for one in refusals), default=0.0),
        is_clear=all(one.status == 503 and one.problem and "retry-after" in one.headers for one in refusals),
        n_acknowledged=len(acknowledged) + len(promised),
        n_lost=len(acknowledged - predicted) + len(set(promised) ^ in_batches),
        n_twice=len(predicted) - load.n_requests + len(promised) - len(set(promised)),
        trail_is_whole=trail.fault is None and n_entries == len(predicted) + len(in_batches),
        recovery_s=moments.recovered - moments.over,
    )


def _named(answer: Answer) -> str:
    if answer.status == 0:
        return "connection broken"
    return f"{answer.status} {answer.problem.get('type', '').rpartition(':')[2]}".strip()


def _count(store: Store, *conditions: Any, of: Any) -> int:
    with store.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(of).where(*conditions)).scalar_one())


def api_killed(site: Site) -> Finding:
    """kill -9 of the API, which its supervisor starts again at once."""

    def harm(_: Load) -> tuple[float, float | None]:
        site.kill_api()
        site.start_api()
        return time.monotonic(), None

    return found(site, "kill -9 of the API", harm)


def worker_killed(site: Site) -> Finding:
    """kill -9 of the worker while it holds an ECG; another is started at once."""

    def harm(_: Load) -> tuple[float, float | None]:
        doomed = site.workers.pop()
        with site.store() as store:
            assert site.submit(5 * _N_ECGS).status == 202
            mine = (ITEMS.c.state == "running", ITEMS.c.worker.like(f"%-{doomed.pid}-%"))
            wait_for(lambda: _count(store, *mine, of=ITEMS))
            doomed.kill()
            doomed.wait()
            killed = time.monotonic()
            site.start_worker()
            wait_for(lambda: _count(store, *mine, of=ITEMS) == 0)  # another has claimed what it held
        return killed, time.monotonic()

    return found(site, "kill -9 of a worker", harm)


def database_ended(site: Site, postgres: Postgres, number: signal.Signals) -> Finding:
    """The database ends, by kill -9 or in order, and is back after 2 s."""

    def harm(_: Load) -> tuple[float, float | None]:
        assert postgres.process is not None
        postgres.process.send_signal(number)
        postgres.process.wait()
        time.sleep(_OUTAGE_S)
        postgres.start()
        return time.monotonic(), None

    how = "kill -9 of the database" if number is signal.SIGKILL else "database stopped and started"
    return found(site, how, harm)


def disk_filled(site: Site, disk: Path, what: str) -> Finding:
    """The disk under the database fills up; after 2 s there is room again."""

    def harm(load: Load) -> tuple[float, float | None]:
        ballast = fill(disk)
        began = time.monotonic()
        wait_for(lambda: any(one.status == 503 and one.at > began for one in load.answers))
        time.sleep(_OUTAGE_S)
        ballast.unlink()
        return time.monotonic(), None

    return found(site, f"disk of {what} full", harm)


def spool_filled(site: Site, disk: Path) -> Finding:
    """The disk under the spool alone fills up: a batch is refused whole, estimates go on."""

    def harm(load: Load) -> tuple[float, float | None]:
        with site.store() as store:
            wait_for(lambda: _count(store, ITEMS.c.state != "done", of=ITEMS) == 0)
            ballast = fill(disk)
            load.answers.append(site.submit(_N_ECGS))
            time.sleep(_OUTAGE_S)
            assert list(store.spool.root.iterdir()) == []
        ballast.unlink()
        over = time.monotonic()
        return over, wait_for(lambda: next((one.at for one in [site.submit(_N_ECGS)] if one.status == 202), None))

    return found(site, "disk of the spool full", harm)


def database_missing(site: Site, postgres: Postgres) -> Finding:
    """The database is not there when API and worker start; it comes after they have said so."""
    postgres.kill()
    site.start_api()
    site.start_worker()
    site.wait_until(200, "/healthz")
    site.wait_until(503, "/readyz")
    with loaded(Load(site.port, site.bodies, insists=True), N_CLIENTS) as load:
        began = time.monotonic()
        wait_for(lambda: any(one.status == 503 for one in load.answers))
        time.sleep(_OUTAGE_S)
        postgres.start()
        over = time.monotonic()
        recovered = wait_for(lambda: _next_good(load, over))
        assert site.submit(_N_ECGS).status == 202
        wait_for(lambda: len(load.good) >= _N_ANSWERS)
    with site.store() as store:
        wait_for(lambda: _count(store, ITEMS.c.state != "done", of=ITEMS) == 0)
        return _judged(site, store, load, Moments("no database at the start", began, over, recovered))


def fill(disk: Path) -> Path:
    """Take all the room that is left; the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(bytes(4096)):
            pass
    return ballast


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A small file system in memory, at ``folder``.

    Raises:
        PermissionError: this user may not make one.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=0777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        raise PermissionError("a small file system cannot be mounted; it takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
