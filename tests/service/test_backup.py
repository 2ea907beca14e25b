"""A backup as docs/deploy.md makes it, put back: the keys open, the audit trail is whole and ends where it did."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from service.settings import Settings
from service.storage import audit, keys
from service.storage.store import Act, Store, open_store
from tests.service.conftest import ROOT
from tests.service.postgres import Postgres

ACT = Act("somebody", "r1")


def filled(**settings: Any) -> tuple[Store, str, str]:
    """A store with a few entries in its trail, the head of that, and a key."""
    store = open_store(Settings(**settings))
    token, key = keys.new_key("archive", ["predict"], None)
    keys.create(store, ACT, key)
    head = verdict_of(store).head
    return store, head, token


def verdict_of(store: Store, known: str | None = None) -> audit.Verdict:
    with store.database.read() as connection:
        return audit.verify(connection, store.secret, known)


def check_restored(store: Store, head: str, token: str) -> None:
    verdict = verdict_of(store, head)
    assert (verdict.head, verdict.fault) == (head, None)
    (key,) = keys.listed(store)
    assert key.sha256 == keys.digest(token)
    keys.rotate(store, ACT, "archive", overlap=timedelta(0))  # it takes new entries
    assert verdict_of(store, head).fault is None
    store.database.close()


def test_sqlite(tmp_path: Path) -> None:
    store, head, token = filled(data=tmp_path / "data")
    (line,) = re.findall(r'`python -c "(import sqlite3.*?)"`', (ROOT / "docs" / "deploy.md").read_text())
    subprocess.run(
        [sys.executable, "-c", line.replace("'/data", f"'{tmp_path / 'data'}")], check=True
    )  # while it is open
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "data" / "secret", tmp_path / "new" / "secret")
    shutil.copy(tmp_path / "data" / "copy.sqlite3", tmp_path / "new" / "ecg_ka.sqlite3")
    store.database.close()
    check_restored(open_store(Settings(data=tmp_path / "new")), head, token)


def test_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    old, new = postgres.new_database(), postgres.new_database()
    store, head, token = filled(data=tmp_path / "data", database=old)
    dump: list[str | Path] = [postgres.programs / "pg_dump", "-Fc", old]
    restore: list[str | Path] = [postgres.programs / "pg_restore", "-d", new, "--clean", "--if-exists"]
    subprocess.run(restore, input=subprocess.run(dump, check=True, stdout=subprocess.PIPE).stdout, check=True)
    store.database.close()
    check_restored(open_store(Settings(data=tmp_path / "data", database=SecretStr(new))), head, token)
