"""The table of the real ECG files, corpus.csv: what is read from each, or why it is refused.

python -m tests.ecg_ka.corpus      writes docs/formats.md from it and from the registry of formats
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from ecg_ka.errors import EcgError
from ecg_ka.quality import assess
from ecg_ka.readers import read, registry
from ecg_ka.record import EcgRecord

TABLE = Path(__file__).with_suffix(".csv")
DOCUMENT = Path(__file__).parents[2] / "docs" / "formats.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One file; every field as it stands in the table, empty where there is nothing to say.

    ``lead_ii_mv`` is peak to peak and ``lead_ii_sum_mv`` the sum of lead II, or of the only lead. ``flags`` are those
    that have to be raised at least. ``oracle_uv`` is the largest difference to the decoder named in ``oracle``.
    ``error`` and ``words`` are the class and a part of the message of a file that is refused.
    """

    file: str
    format: str = ""
    fs_hz: str = ""
    leads: str = ""
    derived: str = ""
    seconds: str = ""
    lead_ii_mv: str = ""
    lead_ii_sum_mv: str = ""
    unit: str = ""
    device: str = ""
    acquired: str = ""
    age: str = ""
    flags: str = ""
    oracle: str = ""
    oracle_uv: str = ""
    notes: str = ""
    error: str = ""
    words: str = ""


def lines() -> list[Line]:
    """The table."""
    with TABLE.open(encoding="utf-8", newline="") as stream:
        return [Line(**row) for row in csv.DictReader(stream, strict=True)]


def line_of(record: EcgRecord, file: str) -> Line:
    """What a record says, as the table has it; without flags and oracle."""
    source = record.source
    lead = record.lead("II") if "II" in record.leads else record.signal_mv[0]
    return Line(
        file=file,
        format=source.format,
        fs_hz=f"{record.fs_hz:g}",
        leads=str(len(record.leads)),
        derived=" ".join(record.leads_derived),
        seconds=f"{record.duration_s:.10g}",
        lead_ii_mv=f"{float(np.ptp(lead)):.4f}",
        lead_ii_sum_mv=f"{float(lead.sum(dtype=float)):.3f}",
        unit=source.units_in + " (assumed)" * source.units_assumed,
        device=source.device or "",
        acquired="" if source.acquired_at is None else str(source.acquired_at),
        age="" if source.age_years is None else f"{source.age_years:.4g}",
        notes=" | ".join(source.notes),
    )


def flags_of(record: EcgRecord) -> set[str]:
    """The flags on the signal of a record."""
    return {str(flag) for flag in assess(record).flags}


def refusal_of(path: Path) -> EcgError | None:
    """The error of a file that is refused."""
    try:
        read(path)
    except EcgError as error:
        return error
    return None


def document() -> str:
    """docs/formats.md."""
    table = lines()
    several = {folder: list(group) for folder, group in groupby(table, lambda line: str(Path(line.file).parent))}
    read_, refused = [], []
    for group in several.values():
        shown = group if len(group) <= _MOST_LINES else [_summary(group)]
        read_ += [line for line in shown if not line.error]
        refused += [line for line in shown if line.error]
    parts = [_HEAD, "## What is read", registry.LIMITS, _formats(), "## Real files that are read", _READ, _files(read_)]
    parts += ["## Real files that are refused", _rows(("file", "error", "because"), [
        (line.file, line.error, line.words) for line in refused
    ])]  # fmt: skip
    return "\n\n".join([*parts, "## Notes of these files", _NOTES, _notes(read_)]) + "\n"


_MOST_LINES = 15
_HEAD = """# Formats

Written by `make docs` from the registry of the readers (`ecg_ka/readers/registry.py`, as `ecg-ka formats` shows it)
and from the table that the tests compare with real files (`tests/ecg_ka/corpus.csv`, which has a line for each). Do not
edit it by hand."""
_READ = """Lead II is peak to peak. The last column is the largest difference to another decoder, over all samples of
all leads in the file: the wfdb package, pydicom's `waveform_array`, ecgdatakit, or the decode that WFDB ships with an
SCP-ECG. That one averages three neighbours outside the protected zones, so it is compared within the first of them.
Flags are raised on the signal: some of these files state a wrong gain (`cinc2020/E*`, `HR*`), read as stated."""
_NOTES = "What the record says of how it was read, as `ecg-ka estimate` prints it."


def _formats() -> str:
    cells = [(kind.name, kind.known_by, kind.to_give, kind.limits) for kind in registry.FORMATS]
    cells.append(("zip", "PK at the beginning", "as for what is in it", "one ECG, unpacked in memory"))
    return _rows(("format", "known by", "to give", "limits"), cells)


def _files(table: Sequence[Line]) -> str:
    head = ("file", "format", "Hz", "leads", "s", "lead II, mV", "unit", "flags", "another decoder, microvolts")
    cells = [
        (
            *(line.file, line.format, line.fs_hz, _with_derived(line)),
            *(line.seconds, line.lead_ii_mv, line.unit, line.flags),
            f"{line.oracle_uv} ({line.oracle})" if line.oracle else "none known",
        )
        for line in table
    ]
    return _rows(head, cells)


def _with_derived(line: Line) -> str:
    return line.leads + f" ({len(line.derived.split())} derived)" * bool(line.derived)


def _notes(table: Sequence[Line]) -> str:
    return "\n".join(f"- {line.file}: {line.notes.replace(' | ', '; ')}" for line in table if line.notes)


def _rows(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *escaped])


def _summary(group: Sequence[Line]) -> Line:
    """One line for many files alike: their common values, ranges of numbers, the largest difference to the oracle."""
    fields: dict[str, str] = {}
    for name in asdict(group[0]):
        values = sorted({getattr(line, name) for line in group}, key=_by_number)
        fields[name] = values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"
    fields["file"] += f" ({len(group)} files)"
    flags = {flag: sum(flag in line.flags.split() for line in group) for line in group for flag in line.flags.split()}
    fields["flags"] = ", ".join(f"{flag} in {count}" for flag, count in sorted(flags.items()))
    fields["oracle_uv"] = max(line.oracle_uv for line in group)
    return Line(**fields)


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return 0.0, text


def write(table: Sequence[Mapping[str, str]], path: Path = TABLE) -> None:
    """The table to a file."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*Line.__slots__], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
