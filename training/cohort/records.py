"""From a listing of ECG files with labels to a cohort, by several processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import UnreadableRecord, UnusableRecord
from ecg_ka.estimator import prepare
from ecg_ka.preprocess import SignalSpec
from ecg_ka.readers import read
from training.cohort import to_steps
from training.cohort.labels import Step
from training.cohort.tables import columns_of
from training.cohort.writer import CohortWriter, Part, Reject
from training.progress import Progress, one_thread

if TYPE_CHECKING:
    import polars as pl

_CHUNK = 32  # ECGs that a process reads before it hands them over


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What every builder that reads files can be told."""

    out: Path = field(metadata={"help": "folder to write; must be new or empty"})
    lowest_mmol_l: float = field(default=1.0, metadata={"help": "lower labels are left out as implausible"})
    highest_mmol_l: float = field(default=12.0, metadata={"help": "higher labels are left out as implausible"})
    split_key: str = field(default="ecg_ka cohort", metadata={"help": "same key, same patient, same split"})
    workers: int = field(default=os.cpu_count() or 1, metadata={"help": "processes"})


class Outcome(NamedTuple):
    """One file: the model input (leads, T) and the SHA-256 of the ECG, or why there is none."""

    steps: NDArray[np.int16] | None
    sha256: str
    reason: str


def write_records(
    listing: pl.DataFrame, folder: Path, options: BuildOptions, about: dict[str, Any], steps: Sequence[Step]
) -> None:
    """Write the cohort of the ECGs in ``listing``: path below ``folder``, patient, potassium_mmol_l, covariates.

    The rows of a patient come in the order of time. An ECG whose file was there already, under another path, is left
    out: under another patient's name it could be in two splits. Files that cannot be read or used are in rejects.csv.

    Raises:
        FileExistsError: ``options.out`` holds something already.
        ValueError: no ECG is left.
    """
    spec = SignalSpec()
    rejects: list[Reject] = []
    with CohortWriter(options.out, spec, options.split_key) as writer:
        n_left = 0
        for part in _parts(listing, folder, spec, options.workers, rejects):
            writer.add(part)
            n_left += len(part.steps)
        counted = [asdict(step) for step in (*steps, Step("read, usable, and not there already", n_left))]
        writer.finish({"is_simulated": False, **about, "steps": counted, "rejects": len(rejects)}, rejects)


def _parts(
    listing: pl.DataFrame, folder: Path, spec: SignalSpec, workers: int, rejects: list[Reject]
) -> Iterator[Part]:
    progress = Progress("reading", len(listing))
    columns = columns_of(listing)
    paths = listing["path"].to_list()
    starts = range(0, len(paths), _CHUNK)
    seen: dict[str, str] = {}
    with get_context("spawn").Pool(workers, initializer=one_thread) as pool:
        chunks = pool.imap(partial(read_chunk, folder, spec), (paths[i : i + _CHUNK] for i in starts))
        for start, outcomes in zip(starts, chunks, strict=True):
            kept = []
            for i, outcome in enumerate(outcomes, start):
                reason = outcome.reason or _repeated(outcome.sha256, paths[i], seen)
                if reason:
                    rejects.append(Reject(paths[i], reason))
                else:
                    kept.append(i)
            inputs = [s for i in kept if (s := outcomes[i - start].steps) is not None]
            progress.step(len(outcomes), f"{len(rejects)} rejected")
            if inputs:
                yield Part(np.stack(inputs), {name: column[kept] for name, column in columns.items()})


def _repeated(sha256: str, path: str, seen: dict[str, str]) -> str:
    first = seen.setdefault(sha256, path)
    return "" if first == path else f"the same ECG as {first}"


def read_chunk(folder: Path, spec: SignalSpec, paths: Sequence[str]) -> list[Outcome]:
    """The model inputs of some files, through the same calls as serving."""
    return [_outcome(folder / path, spec) for path in paths]


def _outcome(path: Path, spec: SignalSpec) -> Outcome:
    try:
        record = read(path)
        return Outcome(to_steps(prepare(record, spec).signal_mv), record.source.sha256, "")
    except (UnreadableRecord, UnusableRecord) as error:
        return Outcome(None, "", f"{error.title}: {error}")
