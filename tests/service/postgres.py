"""A real PostgreSQL server on loopback, under its own unprivileged user, for the tests alone."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.required import missing

_USER = "postgres"  # who runs the server when the tests run as root, which it refuses


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")) or [
        Path(path) for path in [shutil.which("postgres")] if path
    ]
    if not found:
        missing("postgres", "the programs of PostgreSQL are not installed (Debian: postgresql)")
    return found[-1].parent


def _as_user() -> dict[str, Any]:
    return {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass
class Postgres:
    """A server in ``folder``; ``process`` is None while it is down. With ``fsync`` on a commit is on the disk."""

    folder: Path
    programs: Path
    port: int
    fsync: str = "off"
    password: str = field(default_factory=lambda: secrets.token_hex(8))
    process: subprocess.Popen[bytes] | None = None

    def address(self, name: str) -> str:
        return f"postgresql://ecg:{self.password}@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """The address of a new, empty database."""
        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.address(name)

    def create(self) -> None:
        (self.folder / "password").write_text(self.password)
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "password"):
                shutil.chown(path, _USER, _USER)
        command: list[str | Path] = [
            self.programs / "initdb",
            "-D",
            self.folder / "data",
            "-U",
            "ecg",
            "-A",
            "scram-sha-256",
            "-N",
        ]
        command += ["--pwfile", self.folder / "password", "-E", "UTF8", "--locale", "C"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **_as_user())

    def start(self) -> None:
        options = (
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=60",
            f"fsync={self.fsync}",
        )
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += [part for option in options for part in ("-c", option)]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:  # children of a killed one still lived
                self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=self.folder, **_as_user())
            try:
                psycopg.connect(self.address("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return
        pytest.fail("PostgreSQL did not start within 60 s")

    def kill(self) -> None:
        """kill -9 of the server: nothing is said to anyone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def started(parent: Path | None = None, fsync: str = "off") -> Iterator[Postgres]:
    """A new server, until the end of the block; its folder is in ``parent``, which its user can reach."""
    programs = _programs()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="ecg-ka-postgres-", dir=parent, ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder), programs, port, fsync)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.kill()
            time.sleep(0.5)  # its children notice
