"""Whole archives: `ecg-ka estimate --out` on this host, `ecg-ka score` on many."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecg_ka.bundle import SHIPPED
from ecg_ka.cli.app import NOT_WRITTEN, REFUSED, STOPPED, app
from ecg_ka.cli.options import BundleFolder, Fs, Leads, Level, Units, facts_of
from ecg_ka.errors import EcgError
from ecg_ka.estimate import DISCLAIMER

if TYPE_CHECKING:
    from ecg_ka.scoring import Job, Totals

Out = Annotated[
    Path | None, typer.Option("--out", help="table to write, .parquet (extra `archive`), .ndjson or .csv, of all ECGs")
]
Workers = Annotated[int, typer.Option(help="processes of one thread each; 0: one a core", min=0)]
Ordered = Annotated[bool, typer.Option(help="rows in the order of the paths, or of getting done")]


NO_SPACE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class Engine(StrEnum):
    """Which engine shares out the work."""

    RAY = "ray"


@app.command()
def score(  # noqa: PLR0913 - one parameter an option
    inputs: Annotated[list[str], typer.Argument(help="files, folders, and URLs of these (s3://, gs://, file://)")],
    out: Annotated[str, typer.Option("--out", help="folder or URL to write Parquet files to; all hosts reach it")],
    engine: Annotated[Engine, typer.Option(help="ray: Ray Data (extra `cluster`)")] = Engine.RAY,
    workers: Workers = 0,
    address: Annotated[
        str | None, typer.Option(help="of a running cluster, or auto to find one; without it Ray is started here")
    ] = None,
    fs_hz: Fs = None,
    units: Units = None,
    leads: Leads = None,
    level: Level = 0.9,
    bundle: BundleFolder = SHIPPED,
) -> None:
    """Estimate potassium for archives on many hosts: the rows of `estimate --out`, in no order.

    Exit code 2 when any file is refused; the others are answered all the same.
    """
    from ecg_ka.scoring import score_on_ray

    match engine:
        case Engine.RAY:
            job = job_of(inputs, bundle, level, facts_of(fs_hz, units, leads))
            _tell(score_on_ray(job, out, actors=workers or _cores(), address=address), f"{out}/rows", "rejects.csv")


def to_table(job: Job, out: Path, workers: int, ordered: bool, force: bool) -> None:
    """Score an archive on this host, and end as the command does."""
    from ecg_ka.scoring import score_archive, would_overwrite  # late: an answer for one ECG needs no processes

    if not force:
        for path in would_overwrite(out):
            raise EcgError(f"{path} is there already; choose another place with --out, or overwrite it with --force")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a process that dies must not take this one along
    try:
        found = score_archive(job, out, workers=workers or _cores(), as_finished=not ordered)
    except KeyboardInterrupt:
        print("\necg-ka: stopped; the same command goes on where it was", file=sys.stderr)
        raise typer.Exit(STOPPED) from None
    except OSError as error:
        then = "with space the same command goes on" if error.errno in NO_SPACE else "choose another place with --out"
        print(f"ecg-ka: cannot write {out} ({error.strerror}); {then}", file=sys.stderr)
        raise typer.Exit(NOT_WRITTEN) from None
    _tell(found, str(out), out.with_suffix(".rejects.csv").name)


def job_of(inputs: Iterable[str], bundle: Path, level: float, facts: dict[str, Any]) -> Job:
    """What the options ask for."""
    from ecg_ka.scoring import Job

    return Job(inputs=tuple(inputs), bundle=bundle, level=level, **facts)


def _tell(found: Totals, place: str, rejects: str) -> None:
    told = f"; {rejects} tells why" if found.refused else ""
    print(f"wrote {place}: {found}{told}\n{DISCLAIMER}")
    if found.refused:
        raise typer.Exit(REFUSED)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
