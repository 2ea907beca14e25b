"""The one way a cohort gets to disk: part by part under another name, then renamed in one step."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

import ecg_ka
from ecg_ka.preprocess import LSB_MV, SignalSpec
from ecg_ka.scoring.unfinished import discard
from training.cohort import Label, Split, sha256_of
from training.cohort.index import in_standard_form, refuse_leakage
from training.cohort.journal import Journal, Reject

if TYPE_CHECKING:
    import polars as pl

FORMAT = 2  # 1 had index.npz


@dataclass(frozen=True, slots=True)
class Target:
    """The folder ``out`` as it is to be: ``content`` is all that decides about it, in plain JSON types."""

    out: Path
    spec: SignalSpec
    content: dict[str, Any]

    @property
    def unfinished(self) -> Path:
        """Where the cohort lies until it is whole."""
        return self.out.with_name(self.out.name + ".part")

    @property
    def plan(self) -> dict[str, Any]:
        """What is written down beside an unfinished cohort, and as a hash in a finished one."""
        return {"format": FORMAT, "signal_sha256": self.spec.sha256, **self.content}

    @property
    def sha256(self) -> str:
        """Identity of the plan."""
        return hashlib.sha256(json.dumps(self.plan, sort_keys=True).encode()).hexdigest()

    def is_finished(self) -> bool:
        """Whether ``out`` holds this very cohort already.

        Raises:
            FileExistsError: it holds something else.
        """
        if not self.out.exists() or (self.out.is_dir() and not any(self.out.iterdir())):
            return False
        about = self.out / "cohort.json"
        if about.is_file() and json.loads(about.read_text()).get("sha256", {}).get("plan") == self.sha256:
            discard(self.unfinished)
            return True
        raise FileExistsError(
            f"{self.out} holds something already, made with other options or tables; name another folder with --out "
            "or delete it"
        )

    def journal(self, n: int) -> Journal:
        """To be used in a ``with`` statement: takes parts, and knows those that a run before has written.

        The same software has to go on with it: another version may compute other samples.

        Raises:
            OSError: the disk has no space for ``n`` ECGs.
        """
        shape = (len(self.spec.leads), self.spec.n_samples)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        journal = Journal(self.unfinished, {**self.plan, "software": _software()}, shape)
        there = journal.signals.stat().st_size if journal.signals.is_file() else 0
        needed, free = 2 * n * shape[0] * shape[1] - there, shutil.disk_usage(self.out.parent).free
        if needed > free:
            raise OSError(
                errno.ENOSPC, f"{n} ECGs need {needed / 1e9:.1f} GB; free are {free / 1e9:.1f}", str(self.out)
            )
        return journal

    def finish(self, journal: Journal, index: pl.DataFrame, label: Label, about: dict[str, Any]) -> None:
        """Write ``index`` (a row an ECG, with patient, label and split), description and the list of rejected files,
        and give the cohort its name.

        Raises:
            ValueError: no ECG is left, or a patient would be in two splits.
        """
        rejects = list(chain.from_iterable(part.rejects for part in journal.done))
        if journal.n == 0:
            discard(journal.folder)
            such = f"; {len(rejects)} files rejected, such as {': '.join(rejects[0])}" if rejects else ""
            raise ValueError(f"no ECG is left for the cohort{such}")
        refuse_leakage(index["patient"].to_numpy(), index["split"].to_numpy())
        journal.seal()
        folder = journal.folder / "cohort"
        in_standard_form(index, label).write_parquet(folder / "index.parquet", row_group_size=65_536)
        _write_rejects(folder / "rejects.csv", rejects)
        counts = dict(index["split"].value_counts().iter_rows())
        description = {
            "format": FORMAT,
            "about": {**about, "rejects": len(rejects)},
            "label": asdict(label),
            "signal": asdict(self.spec),
            "signal_sha256": self.spec.sha256,
            "step_mv": LSB_MV,
            "counts": {split.value: counts.get(split.value, 0) for split in Split},
            "sha256": {"signals": journal.sha256, "index": sha256_of(folder / "index.parquet"), "plan": self.sha256},
        }
        (folder / "cohort.json").write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
        for path in folder.iterdir():
            _to_disk(path)
        folder.replace(self.out)
        discard(journal.folder)


def _software() -> dict[str, str]:
    """What decides, beside options and tables, about the bytes of a cohort."""
    import polars as pl

    hashed = hashlib.sha256()
    for folder in (Path(ecg_ka.__file__).parent, Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            hashed.update(path.read_bytes())
    return {"code": hashed.hexdigest(), "numpy": np.__version__, "scipy": scipy.__version__, "polars": pl.__version__}


def _write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(Reject._fields)
        table.writerows(rejects)


def _to_disk(path: Path) -> None:
    """A rename may outlive a power cut that the content does not."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
