"""CSV: a header line of lead names, then one line a sample; separated by comma, semicolon or tab."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader, NoSamples, TruncatedFile, UnreadableRecord
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given, known_unit
from ecg_ka.readers.limits import check_channels, check_samples
from ecg_ka.readers.matrix import Layout, to_record
from ecg_ka.record import EcgRecord, Source, canonical_lead

_MAX_HEADER_LINE = 65_536
_LONGEST_NAME = 64  # of a column that is searched for a unit: the time of a search grows with its square
_WITH_UNIT = re.compile(r"(?P<name>.*?)(?:[\s_]+|\s*[(\[])(?P<unit>[^\s_()\[\]]+)[)\]]?")
_ON_GRID = 0.05
"""Of the last decimal: sampling intervals as near as this to a multiple of it are written without rounding."""
_SECONDS = {"TIME": 1.0, "T": 1.0, "S": 1.0, "SEC": 1.0, "SECONDS": 1.0, "MS": 1e-3, "MILLISECONDS": 1e-3}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """The columns by what they hold; ``leads`` maps a column to its lead and the unit stated for it."""

    separator: str
    n_columns: int
    leads: dict[int, tuple[str, str | None]]
    time: tuple[int, float] | None
    others: tuple[str, ...]


def recognises(data: bytes) -> bool:
    """Whether the first line is text that names at least one standard lead."""
    line = _first_line(data)
    return line is not None and bool(_header(line).leads)


def read(files: Files, given: Given) -> EcgRecord:
    """Lead columns by name; a unit may follow the name (``II_uV``, ``II (mV)``), one unit for all leads.

    A column ``time`` or ``time_s`` (seconds) or ``time_ms`` gives the sampling rate. Decimal commas are understood
    where the separator is not a comma.

    Raises:
        MalformedHeader: units that differ among the leads, or whole numbers without a unit.
        InvalidSamplingRate: neither a usable time column nor ``fs_hz``.
        UnreadableRecord: a cell that is not a number, a line with more cells than names.
        TruncatedFile, NoSamples, RecordTooLarge, NonFiniteSamples: as named.
    """
    line = _first_line(files.data)
    header = _header(line or "")
    body = files.data.split(b"\n", 1)[1] if b"\n" in files.data else b""
    columns = [*header.leads] if header.time is None else [*header.leads, header.time[0]]
    table = _numbers(body, header, columns)
    n_leads = len(header.leads)
    stated_hz = None if header.time is None else _rate_from(table[n_leads] * header.time[1])
    notes = tuple(f"column {name[:40]!r} was left out" for name in header.others)
    return to_record(
        Layout(rows=table[:n_leads], names=given.names([name for name, _ in header.leads.values()])),
        fs_hz=given.sampling_rate(stated_hz),
        unit=given.unit(_one_unit(header)),
        source=Source(format="CSV", sha256=sha256(files.data).hexdigest(), units_in="not stated", notes=notes),
    )


def _first_line(data: bytes) -> str | None:
    line = data[:_MAX_HEADER_LINE].removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError:
        text = line.decode("latin-1").strip()  # what Excel writes on western systems: only the micro sign matters
    return text if text.isprintable() or text.replace("\t", "").isprintable() else None


def _header(line: str) -> _Header:
    separator = max("\t;,", key=line.count)
    leads: dict[int, tuple[str, str | None]] = {}
    time: tuple[int, float] | None = None
    others = []
    cells = [cell.strip().strip("\"'").strip() for cell in line.split(separator)]
    for column, cell in enumerate(cells):
        name, unit = _name_and_unit(cell)
        if canonical_lead(name) is not None:
            leads[column] = (name, unit)
        elif time is None and (second := _seconds(cell)) is not None:
            time = (column, second)
        else:
            others.append(cell)
    return _Header(separator=separator, n_columns=len(cells), leads=leads, time=time, others=tuple(others))


def _name_and_unit(cell: str) -> tuple[str, str | None]:
    match = _WITH_UNIT.fullmatch(cell) if len(cell) <= _LONGEST_NAME else None
    unit = None if match is None else known_unit(match["unit"])
    return (cell, None) if match is None or unit is None else (match["name"], unit)


def _seconds(cell: str) -> float | None:
    words = re.findall(r"[A-Z]+", cell.upper())
    if not words or words[0] not in ("TIME", "T", "SEC", "SECONDS", "MS") or len(words) > 2:
        return None
    return _SECONDS.get(words[-1])


def _one_unit(header: _Header) -> str | None:
    units = {unit for _, unit in header.leads.values()}
    if len(units) > 1:
        raise MalformedHeader("the lead columns state different units, or only some state one; expected one for all")
    return units.pop()


def _numbers(body: bytes, header: _Header, columns: list[int]) -> NDArray[np.float64]:
    """The columns asked for, as rows (len(columns), n)."""
    check_channels(header.n_columns)
    body = body.rstrip()
    if not body:
        raise NoSamples("the CSV has a header line and no samples; expected at least 5 s of ECG")
    check_samples((body.count(b"\n") + 1) * len(columns))
    _check_cells([line.count(header.separator.encode()) + 1 for line in body.split(b"\n") if line.strip()], header)
    if header.separator != "," and b"," in body:
        if b"." in body:
            raise UnreadableRecord("the CSV holds commas and points in its numbers; expected one decimal sign")
        body = body.replace(b",", b".")
    try:
        table = np.loadtxt(
            io.TextIOWrapper(io.BytesIO(body), encoding="latin-1"),
            delimiter=header.separator,
            comments=None,
            usecols=columns,
            ndmin=2,
        )
    except ValueError as error:
        where = re.search(r"at row (\d+), column (\d+)", str(error))  # the rest quotes the cell: it may hold a name
        at = f" (line {int(where[1]) + 2}, column {where[2]})" if where else ""
        raise UnreadableRecord(f"the CSV holds a cell that is not a number{at}; expected plain numbers") from None
    rows: NDArray[np.float64] = table.T
    return rows


def _check_cells(cells: list[int], header: _Header) -> None:
    """As many cells in every line as there are names: a cell more or less moves the leads."""
    if cells[-1] < header.n_columns:
        raise TruncatedFile(f"the last line of the CSV has fewer than {header.n_columns} columns: it was cut off")
    if set(cells) != {header.n_columns}:
        line, found = next((i, n) for i, n in enumerate(cells, start=1) if n != header.n_columns)
        raise UnreadableRecord(
            f"line {line} of the CSV's numbers has {found} cells for {header.n_columns} names, so leads cannot be told "
            "apart. Give each column a name; with decimal commas, separate the cells by semicolons."
        )


def _rate_from(time_s: NDArray[np.float64]) -> float:
    """The sampling rate (Hz) of evenly spaced times."""
    n = time_s.size
    span_s = float(time_s[-1] - time_s[0]) if n > 1 else 0.0
    if not np.isfinite(time_s).all() or span_s <= 0:
        raise InvalidSamplingRate("the time column does not grow; expected seconds, or milliseconds in 'time_ms'")
    step_s, written_s = span_s / (n - 1), _resolution_s(time_s)
    on_grid = abs(step_s / written_s - round(step_s / written_s)) < _ON_GRID
    if np.abs(time_s - np.linspace(time_s[0], time_s[-1], n)).max() > (0.25 * step_s if on_grid else written_s):
        raise InvalidSamplingRate("the time column is not evenly spaced; expected samples without gaps")
    fs_hz = 1 / step_s
    # both ends are rounded: with three decimals over 10 s, 360.02 Hz is 360 Hz
    return float(round(fs_hz)) if abs(fs_hz - round(fs_hz)) <= fs_hz * written_s / span_s else fs_hz


def _resolution_s(time_s: NDArray[np.float64]) -> float:
    """The last decimal with which times are written, from 1 ms down to 1 ns or to what a float of their size holds."""
    least = max(1e-9, 4.0 * float(np.spacing(np.abs(time_s).max())))
    return next((10.0**-d for d in range(3, 9) if np.abs(np.round(time_s, d) - time_s).max() <= least), least)
