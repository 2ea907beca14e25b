"""From a listing of ECG files with labels to a cohort, by several processes, going on where a killed run was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import UnreadableRecord, UnusableRecord
from ecg_ka.estimator import choose_window
from ecg_ka.preprocess import SignalSpec, to_model_input
from ecg_ka.quality import grade
from ecg_ka.readers import read
from ecg_ka.scoring.progress import Progress
from training.cohort import Label, to_steps
from training.cohort.journal import Done, Part, Reject
from training.cohort.splits import SplitBy, SplitRule
from training.cohort.steps import Step
from training.cohort.workers import ordered
from training.cohort.writer import Target
from training.config import to_json

if TYPE_CHECKING:
    import polars as pl

CHUNK = 32  # ECGs that a process reads before it hands them over, and that a killed run may read again


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What every builder that reads files can be told."""

    out: Path = field(metadata={"help": "folder to write; new, empty, or begun by the same command"})
    split_by: SplitBy = field(default=SplitBy.PATIENT, metadata={"help": "what the test split is: hashed patients, "
        "a later time, or other sites"})  # fmt: skip
    split_column: str = field(default="", metadata={"help": "column to split by, if not that of the description"})
    test_from: str | None = field(default=None, metadata={"help": "by time: ECGs from here on are the test split"})
    test_sites: str | None = field(default=None, metadata={"help": "by site: those of the test split, as A,B,C"})
    split_key: str = field(default="ecg_ka cohort", metadata={"help": "same key, same patient, same split"})
    workers: int = field(default=os.cpu_count() or 1, metadata={"help": "processes"})

    def rule(self, time_column: str) -> SplitRule:
        """The rule of the splits; raises ValueError if options do not go together."""
        column = self.split_column or {SplitBy.TIME: time_column, SplitBy.SITE: "site"}.get(self.split_by, "")
        sites = tuple(site.strip() for site in (self.test_sites or "").split(",") if site.strip())
        return SplitRule(
            key=self.split_key, by=self.split_by, column=column, test_from=self.test_from, test_sites=sites
        )

    def content(self) -> dict[str, Any]:
        """The options that decide about the content of a cohort."""
        return {key: value for key, value in to_json(self).items() if key not in ("out", "workers")}


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """``rows``: path below ``folder``, patient, label, split and covariates; a patient's ECGs in the order of time."""

    rows: pl.DataFrame
    folder: Path
    label: Label
    steps: Sequence[Step]


class Outcome(NamedTuple):
    """One file: SHA-256 of the ECG and grade of its quality, or why there is none."""

    sha256: str
    quality: str
    reason: str


class Chunk(NamedTuple):
    """Some files: ``steps`` (n, leads, T) of those that are usable, and what became of each."""

    steps: NDArray[np.int16]
    outcomes: list[Outcome]


def write_records(listing: Listing, options: BuildOptions, about: dict[str, Any]) -> None:
    """Write the cohort of the ECGs listed. Those whose file was there already, under another path, are left out: under
    another patient's name one could be in two splits. Files that cannot be read or used are in rejects.csv.

    Raises:
        FileExistsError: ``options.out`` holds something else already.
        ValueError: no ECG is left.
    """
    import polars as pl

    about = {"is_simulated": False, **about, "spec": options.content()}
    content = {"listing_sha256": hashlib.sha256(listing.rows.write_csv().encode()).hexdigest(), "about": about}
    target = Target(options.out, SignalSpec(), content)
    if target.is_finished():
        return
    with target.journal(len(listing.rows)) as journal:
        for part in _parts(listing, target.spec, journal.done, options.workers):
            journal.add(part)
        facts = {name: [*chain.from_iterable(d.facts[name] for d in journal.done)] for name in _FACTS}
        kept = pl.DataFrame(facts, schema=_FACTS)
        index = listing.rows[kept["row"]].with_columns(quality=kept["quality"], ecg_sha256=kept["ecg_sha256"])
        steps = [*listing.steps, Step("read, usable, and not there already", len(index))]
        target.finish(journal, index, listing.label, {**about, "steps": [step._asdict() for step in steps]})


def _parts(listing: Listing, spec: SignalSpec, done: Sequence[Done], workers: int) -> Iterator[Part]:
    paths = listing.rows["path"].to_list()
    first: dict[str, str] = {}
    for _, facts, _ in done:
        first |= {sha256: paths[row] for row, sha256 in zip(facts["row"], facts["ecg_sha256"], strict=True)}
    starts = range(len(done) * CHUNK, len(paths), CHUNK)
    n_rejects = sum(len(part.rejects) for part in done)
    progress = Progress("reading", len(paths), done=min(len(done) * CHUNK, len(paths)))
    chunks = ordered(partial(read_chunk, listing.folder, spec), (paths[i : i + CHUNK] for i in starts), workers)
    for start, chunk in zip(starts, chunks, strict=True):
        part = _without_repeated(start, paths, chunk, first)
        n_rejects += len(part.rejects)
        progress.step(len(chunk.outcomes), f"{n_rejects} rejected")
        yield part


_FACTS: dict[str, Any] = {"row": int, "quality": str, "ecg_sha256": str}


def _without_repeated(start: int, paths: Sequence[str], chunk: Chunk, first: dict[str, str]) -> Part:
    """A part of a chunk; ``first`` has the path of every ECG so far, and gets its own."""
    rejects, usable = [], []
    facts: dict[str, list[Any]] = {name: [] for name in _FACTS}
    for row, outcome in enumerate(chunk.outcomes, start):
        reason = outcome.reason
        if not reason:
            earlier = first.setdefault(outcome.sha256, paths[row])
            reason = "" if earlier == paths[row] else f"the same ECG as {earlier}"
            usable.append(not reason)
        if reason:
            rejects.append(Reject(paths[row], reason))
        else:
            for name, value in zip(_FACTS, (row, outcome.quality, outcome.sha256), strict=True):
                facts[name].append(value)
    return Part(chunk.steps[np.array(usable, dtype=bool)], facts, rejects)


def read_chunk(folder: Path, spec: SignalSpec, paths: Sequence[str]) -> Chunk:
    """The model inputs of some files, through the same calls as serving."""
    steps = np.empty((len(paths), len(spec.leads), spec.n_samples), dtype=np.int16)
    outcomes = []
    n = 0
    for path in paths:
        try:
            record = read(folder / path)
            window, _ = choose_window(record, spec)
            steps[n] = to_steps(to_model_input(window, spec).signal_mv)
            outcomes.append(Outcome(record.source.sha256, grade(window).value, ""))
            n += 1
        except (UnreadableRecord, UnusableRecord) as error:
            outcomes.append(Outcome("", "", f"{error.title}: {error}"))
    return Chunk(steps[:n], outcomes)
