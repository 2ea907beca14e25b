"""What an operator does beside serving: work on batches, make and end keys, check the audit trail, name
another model."""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import ecg_ka
from service import logs
from service.batches.worker import Worker
from service.hangup import on_hangup
from service.models import Models, check
from service.settings import Settings, SettingsError
from service.storage import audit, keys
from service.storage.store import Act, NoStore, Store, open_store

_OPERATOR = Act("operator", "command")
_WORKER = Act("worker", "SIGHUP")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the commands; each puts what does it into ``run``."""
    commands = parser.add_subparsers(title="commands; without one the server starts", metavar="COMMAND")
    worker = commands.add_parser("worker", help="work on batches, beside the server")
    worker.set_defaults(run=_work)
    trail = commands.add_parser("audit", help="check that the audit trail is whole")
    trail.add_argument("--head", metavar="SEQ:HASH", help="an entry that has to be in it, from a log line")
    trail.set_defaults(run=_check_trail)
    _add_keys(commands.add_parser("keys", help="make, list, rotate and revoke API keys"))
    _add_models(commands.add_parser("model", help="check a model bundle, or have ECG_KA_BUNDLE lead to it"))


def _add_keys(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="ACTION")
    actions: dict[str, tuple[Callable[[Settings, argparse.Namespace], int], str]] = {
        "create": (_create_key, "make a key; it is shown once"),
        "line": (_print_line, "make a key for ECG_KA_KEYS_FILE; nothing is stored"),
        "rotate": (_rotate_key, "make a new key of a name; the old one ends after a while"),
        "revoke": (_revoke_key, "end the keys of a name at once"),
        "list": (_list_keys, "show every key, without its secret"),
    }
    for name, (run, words) in actions.items():
        action = commands.add_parser(name, help=words)
        action.set_defaults(run=run)
        if name != "list":
            action.add_argument("name")
        if name in ("create", "line"):
            action.add_argument("--scopes", nargs="+", required=True, choices=list(map(str, keys.Scope)))
        if name == "create":
            action.add_argument("--days", type=int, help="after so many days it ends; without it never")
        if name == "rotate":
            action.add_argument("--overlap-hours", type=float, default=24.0, help="the old key holds so long (24)")


def _add_models(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="ACTION")
    for name, run, words in (
        ("check", _check_model, "ask a bundle about its reference ECGs"),
        ("use", _use_model, "the same, then point the link ECG_KA_BUNDLE to it; to go back, name the one before"),
    ):
        action = commands.add_parser(name, help=words)
        action.add_argument("folder", type=Path, nargs="?", default=ecg_ka.SHIPPED, help="default: the shipped one")
        action.set_defaults(run=run)


def _work(settings: Settings, _: argparse.Namespace) -> int:
    logs.configure()
    store = _store(settings)
    models = Models(settings.bundle, settings.threads)
    models.start()
    if models.current is None:
        raise SettingsError(f"ECG_KA_BUNDLE, {settings.bundle}, holds no bundle that can be used; the log tells why")
    worker = Worker(store, models.current, settings.lease_s)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def change() -> None:
        models.reload_or_stay(store, _WORKER)
        if models.current is not None:
            worker.use(models.current)

    with on_hangup(change):
        worker.run(stop)
    return 0


def _check_model(settings: Settings, chosen: argparse.Namespace) -> int:
    try:
        checked = check(chosen.folder, settings.threads)
    except ecg_ka.BundleError as error:
        raise SettingsError(str(error)) from None
    identity = checked.estimator.bundle.identity()
    asked = f"{checked.n_references} reference ECGs, largest difference {checked.largest_difference:.2g}"
    print(f"{identity.name} {identity.version}, sha256 {identity.sha256}: {asked}")
    return 0 if checked.n_references else 1


def _use_model(settings: Settings, chosen: argparse.Namespace) -> int:
    link = settings.bundle
    if link.exists() and not link.is_symlink():
        raise SettingsError(f"ECG_KA_BUNDLE, {link}, is no symbolic link; expected one, to point it elsewhere at once")
    if status := _check_model(settings, chosen):
        return status
    before = link.readlink() if link.is_symlink() else None
    draft = link.with_name(f".{link.name}-{secrets.token_hex(4)}")
    try:
        draft.symlink_to(chosen.folder.resolve())
        draft.replace(link)
    except OSError as error:
        raise SettingsError(f"{link} cannot be written: {error.strerror}; expected a place that can") from None
    print(f"{link} leads there now, before: {before}. Tell the service and its workers with SIGHUP.")
    return 0


def _create_key(settings: Settings, chosen: argparse.Namespace) -> int:
    valid_for = timedelta(days=chosen.days) if chosen.days else None
    token, key = keys.new_key(chosen.name, chosen.scopes, valid_for)
    keys.create(_store(settings), _OPERATOR, key)
    return _show(token)


def _print_line(_: Settings, chosen: argparse.Namespace) -> int:
    token, key = keys.new_key(chosen.name, chosen.scopes, None)
    line = {"id": key.id, "name": key.name, "scopes": sorted(key.scopes), "sha256": key.sha256}
    print(json.dumps(line))
    print(f"key, shown once: {token}", file=sys.stderr)
    return 0


def _rotate_key(settings: Settings, chosen: argparse.Namespace) -> int:
    return _show(keys.rotate(_store(settings), _OPERATOR, chosen.name, timedelta(hours=chosen.overlap_hours)))


def _revoke_key(settings: Settings, chosen: argparse.Namespace) -> int:
    ended = keys.revoke(_store(settings), _OPERATOR, chosen.name)
    print(f"{ended} ended; a running server knows within 10 s")
    return 0 if ended else 1


def _list_keys(settings: Settings, _: argparse.Namespace) -> int:
    for key in keys.listed(_store(settings)):
        end = f"revoked {key.revoked_at:%F}" if key.revoked_at else f"until {key.expires_at or 'revoked'}"
        print(f"{key.id}  {key.name}  {','.join(sorted(key.scopes))}  {end}")
    return 0


def _check_trail(settings: Settings, chosen: argparse.Namespace) -> int:
    store = _store(settings)
    with store.database.read() as connection:
        verdict = audit.verify(connection, store.secret, chosen.head)
    print(f"{verdict.n_entries} entries, head {verdict.head}: {verdict.fault or 'whole'}")
    return 0 if verdict.fault is None else 1


def _show(token: str) -> int:
    print(token)
    print("Keep it: it is shown once.", file=sys.stderr)
    return 0


def _store(settings: Settings) -> Store:
    try:
        return open_store(settings)
    except NoStore as error:
        raise SettingsError(f"{error}; expected a folder that can be written") from None
