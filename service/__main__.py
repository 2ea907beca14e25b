"""``python -m service``: the server, set up by environment variables alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress

import uvicorn

import ecg_ka
from service import commands, logs, settings
from service.access.callers import Callers, refuse_open_bind
from service.app import create_app
from service.errors import StorageUnavailable
from service.protocol import timed_headers
from service.storage.keys import InvalidKey
from service.storage.store import NoStore, open_store

Run = Callable[[settings.Settings, argparse.Namespace], int]
_SHUTDOWN_S = 20


def main() -> int:
    """Run a command, or the server until it is told to stop; 2 when a setting is wrong."""
    chosen = _parser().parse_args()
    try:
        run: Run = getattr(chosen, "run", _serve)
        return run(settings.from_environment(), chosen)
    except (settings.SettingsError, InvalidKey, StorageUnavailable) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - said before there is a log
        return 2


def _serve(chosen: settings.Settings, _: argparse.Namespace) -> int:
    logs.configure()
    _refuse_open_bind(chosen)
    uvicorn.run(
        create_app(chosen),
        host=chosen.host,
        port=chosen.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(chosen.trusted_proxies),
        forwarded_allow_ips=chosen.trusted_proxies,
        http=timed_headers(chosen.header_timeout_s),
        limit_concurrency=chosen.max_connections + 1,  # uvicorn refuses from this number on
        timeout_keep_alive=chosen.keep_alive_s,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    return 0


def _refuse_open_bind(chosen: settings.Settings) -> None:
    try:
        store = open_store(chosen)
    except NoStore:
        store = None
    with suppress(StorageUnavailable):  # whether there is a key is not known: until it is, the guard lets nobody in
        refuse_open_bind(chosen, Callers(chosen, store))
    if store is not None:
        store.database.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="Serves potassium estimates from 12-lead ECG files over HTTP.",
        epilog=f"settings, by environment variable:\n{settings.table()}\n\n"
        "try it:\n"
        "  python -m service &\n"
        "  curl -F file=@ecg.dcm http://127.0.0.1:8000/v1/predict\n"
        "  curl -F file=@ecg.hea -F file=@ecg.dat -F level=0.95 http://127.0.0.1:8000/v1/predict\n"
        "  curl http://127.0.0.1:8000/v1/model\n\n"
        f"The interface is described at /openapi.json. {ecg_ka.DISCLAIMER}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands.add_to(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
