"""Options that several subcommands share, and what they stand for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from ecg_ka.readers.intake import named_by

Files = Annotated[
    list[Path],
    typer.Argument(
        help="ECG files or folders of one record (a .hea finds its signal files); `ecg-ka formats` lists the formats"
    ),
]
File = Annotated[Path, typer.Argument(help="one ECG: a file, or a folder that holds one record")]
Fs = Annotated[float | None, typer.Option("--fs-hz", help="sampling rate, for files that do not state it (npy, CSV)")]
Units = Annotated[str | None, typer.Option(help="mV, uV or V, for files that do not state their unit")]
Leads = Annotated[str | None, typer.Option(help="lead names in file order, comma-separated, for files without names")]
Age = Annotated[
    float | None,
    typer.Option("--age", help="age in years, beside that of the file; under 18 by either: no value", min=0, max=120),
]
BundleFolder = Annotated[Path, typer.Option("--bundle", help="model bundle; the default is the shipped demonstration")]
Level = Annotated[float, typer.Option(help="level of the interval, 0.5 to 0.99", min=0.5, max=0.99)]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON only")]
Force = Annotated[bool, typer.Option("--force", help="overwrite what is there already")]

_FACT = "(?:fs_hz|units|leads)"
_KEYWORD = re.compile(rf"(?<=[Pp]ass ){_FACT}\b|(?<=Leave ){_FACT}\b|\b{_FACT}(?==)")
"""A keyword of :func:`facts_of` as :mod:`ecg_ka.errors` has it in messages."""


def records_of(files: list[Path]) -> list[Path]:
    """Files without the signal files of headers that are given too: a pair is one record."""
    named = {header.parent / name for header in files if header.suffix == ".hea" for name in named_by(header)}
    return [path for path in files if path not in named]


def facts_of(fs_hz: float | None, units: str | None, leads: str | None) -> dict[str, Any]:
    """What :func:`~ecg_ka.readers.read` takes for files that lack them."""
    names = None if leads is None else tuple(name.strip() for name in leads.split(","))
    return {"fs_hz": fs_hz, "units": units, "leads": names}


def with_options(message: str) -> str:
    """The message of an error, keywords of :func:`~ecg_ka.readers.read` as the options that stand for them."""
    return _KEYWORD.sub(lambda keyword: f"--{keyword[0].replace('_', '-')}", message)
