"""Earlier ECGs of one patient, with the potassium that was measured with each, from a table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecg_ka.errors import EcgError
from ecg_ka.readers import read
from ecg_ka.record import EcgRecord

_COLUMNS = ("path", "potassium_mmol_l")
_MOST = 1000


def read_history(path: Path, facts: Mapping[str, Any]) -> list[tuple[EcgRecord, float]]:
    """The records and potassium values in mmol/L that a CSV file lists; paths are taken from its folder, and
    ``facts`` are what files do not state themselves (see :func:`ecg_ka.read`).

    Raises:
        EcgError: the table, a value or an ECG cannot be read, or an ECG is listed twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EcgError(f"cannot read {path} ({error}); expected a CSV file with {', '.join(_COLUMNS)}") from error
    if not 1 <= len(rows) <= _MOST or not set(_COLUMNS) <= set(rows[0]):
        raise EcgError(f"{path} has {len(rows)} rows; expected 1 to {_MOST} with the columns {', '.join(_COLUMNS)}")
    history = [(_record(path, row, facts), _potassium(path, row)) for row in rows]
    if len({record.source.sha256 for record, _ in history}) < len(history):
        raise EcgError(f"{path} lists an ECG twice; expected each once, with the potassium that belongs to it")
    return history


def _record(path: Path, row: Mapping[str, str | None], facts: Mapping[str, Any]) -> EcgRecord:
    try:
        return read(path.parent / (row["path"] or ""), **facts)
    except EcgError as error:
        raise type(error)(f"{path}, ECG {row['path']!r}: {error}") from error


def _potassium(path: Path, row: Mapping[str, str | None]) -> float:
    text = row["potassium_mmol_l"]
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not 1.0 <= value <= 12.0:
        raise EcgError(f"{path}: potassium {text!r}; expected a value from 1 to 12 mmol/L")
    return value
