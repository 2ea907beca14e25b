"""The one way a cohort gets to disk: under another name until it is whole, then renamed in one step."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg_ka.preprocess import SignalSpec
from training.cohort import Split, refuse_leakage, split_of


class Part(NamedTuple):
    """Some ECGs of a cohort: ``steps`` (B, leads, T), and columns (B,) with ``patient`` and ``potassium_mmol_l``."""

    steps: NDArray[np.int16]
    columns: dict[str, NDArray[Any]]


class Reject(NamedTuple):
    """A file that is not in the cohort, and why."""

    path: str
    reason: str


class CohortWriter:
    """Takes parts, writes a cohort. A killed run leaves ``OUT.part`` behind, which the next run deletes; any other
    failure leaves nothing.

    Raises:
        FileExistsError: ``out`` holds something already.
    """

    def __init__(self, out: Path, spec: SignalSpec, split_key: str) -> None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise FileExistsError(f"{out} holds something already; name another folder with --out or delete it")
        self._out, self._spec, self._split_key = out, spec, split_key
        self._folder = out.with_name(out.name + ".part")
        self._columns: list[dict[str, NDArray[Any]]] = []
        self._n = 0
        self._hash = hashlib.sha256()

    def __enter__(self) -> CohortWriter:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._file = (self._folder / "signals.npy").open("wb")
        self._write_header()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, part: Part) -> None:
        """Append ECGs; those of a patient come in the order of time."""
        if part.steps.shape[1:] != self._shape()[1:] or part.steps.dtype != np.int16:
            raise ValueError(f"steps {part.steps.dtype} {part.steps.shape}; expected int16 {self._shape()}")
        if len(part.steps) == 0:
            return
        data = np.ascontiguousarray(part.steps, dtype="<i2").tobytes()
        self._hash.update(data)
        self._file.write(data)
        self._columns.append(part.columns)
        self._n += len(part.steps)

    def finish(self, about: dict[str, Any], rejects: Sequence[Reject] = ()) -> None:
        """Write index, description and the list of rejected files, and give the cohort its name.

        Raises:
            ValueError: no ECG was added, or a patient would be in two splits.
        """
        if self._n == 0:
            raise ValueError("no ECG is left for the cohort")
        index = {name: np.concatenate([part[name] for part in self._columns]) for name in self._columns[0]}
        index["split"] = np.array([split_of(str(p), self._split_key).value for p in index["patient"]], dtype="U11")
        refuse_leakage(index)
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        np.savez(self._folder / "index.npz", **index)  # type: ignore[arg-type]  # the stub takes a column for a flag
        _write_rejects(self._folder / "rejects.csv", rejects)
        self._describe(index, about)
        self._folder.replace(self._out)

    def _describe(self, index: dict[str, NDArray[Any]], about: dict[str, Any]) -> None:
        hashes = {
            "signals": self._hash.hexdigest(),
            "index": hashlib.sha256((self._folder / "index.npz").read_bytes()).hexdigest(),
        }
        description = {
            "about": about,
            "signal": asdict(self._spec),
            "signal_sha256": self._spec.sha256,
            "counts": {split.value: int((index["split"] == split.value).sum()) for split in Split},
            "sha256": hashes,
        }
        (self._folder / "cohort.json").write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")

    def _shape(self) -> tuple[int, int, int]:
        return (self._n, len(self._spec.leads), self._spec.n_samples)

    def _write_header(self) -> None:
        """The header of NPY 1.0, which numpy pads so that a longer first axis does not lengthen it."""
        facts = {"descr": "<i2", "fortran_order": False, "shape": self._shape()}
        np.lib.format.write_array_header_1_0(self._file, facts)


def _write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(Reject._fields)
        table.writerows(rejects)
