"""PTB-XL as it lies in a folder: the statements about each ECG, and where its files are."""

from __future__ import annotations

import ast
import csv
from dataclasses import dataclass
from pathlib import Path

MIN_NORM_PERCENT = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One ECG: likelihood in percent by statement, and the WFDB headers of its 500 Hz and 100 Hz recordings."""

    statements: dict[str, float]
    header_500_hz: Path
    header_100_hz: Path

    @property
    def is_healthy(self) -> bool:
        """Whether the statement NORM stands at 80 % or more."""
        return self.statements.get("NORM", 0.0) >= MIN_NORM_PERCENT


def entries(folder: Path) -> dict[int, Entry]:
    """What ptbxl_database.csv says, by ecg_id."""
    with (folder / "ptbxl_database.csv").open(newline="") as table:
        return {
            int(float(row["ecg_id"])): Entry(
                statements=ast.literal_eval(row["scp_codes"]),
                header_500_hz=_header(folder, row["filename_hr"]),
                header_100_hz=_header(folder, row["filename_lr"]),
            )
            for row in csv.DictReader(table)
        }


def superclasses(folder: Path) -> dict[str, str]:
    """The diagnostic superclass of each diagnostic statement, from scp_statements.csv."""
    with (folder / "scp_statements.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    return {next(iter(row.values())): row["diagnostic_class"] for row in rows if row["diagnostic_class"]}


def _header(folder: Path, name: str) -> Path:
    """The header where the table says, or in a copy without PTB-XL's folders of thousands."""
    path = folder / f"{name}.hea"
    flat = path.parents[1] / path.name
    return flat if flat.exists() else path
