"""``python -m service``: the server, set up by environment variables alone."""

from __future__ import annotations

import argparse
import sys

import uvicorn

import ecg_ka
from service import logs, settings
from service.app import create_app
from service.protocol import timed_headers

_SHUTDOWN_S = 20


def main() -> int:
    """Run the server until it is told to stop; 2 when a setting is wrong."""
    _parser().parse_args()
    try:
        chosen = settings.from_environment()
    except settings.SettingsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - said before there is a log
        return 2
    logs.configure()
    uvicorn.run(
        create_app(chosen),
        host=chosen.host,
        port=chosen.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=timed_headers(chosen.header_timeout_s),
        limit_concurrency=chosen.max_connections + 1,  # uvicorn refuses from this number on
        timeout_keep_alive=chosen.keep_alive_s,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
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


if __name__ == "__main__":
    sys.exit(main())
