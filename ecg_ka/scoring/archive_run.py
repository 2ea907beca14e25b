"""An archive on one host: processes of one thread each, a journal, and at the end the table.

Beside results.parquet stand results.rejects.csv, the ECGs that were refused and why, and results.about.json, the model,
options and counts.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import ExitStack
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from ecg_ka.errors import EcgError
from ecg_ka.scoring import object_store
from ecg_ka.scoring.job import Job, Scorer, Totals, totals
from ecg_ka.scoring.journal import Chunk, Journal
from ecg_ka.scoring.listing import found
from ecg_ka.scoring.progress import Progress
from ecg_ka.scoring.row import Row, Status, value_of
from ecg_ka.scoring.tables import CsvTable, table_format, written
from ecg_ka.scoring.unfinished import discard
from ecg_ka.scoring.workers import Workers

REJECT_COLUMNS = ("file", "error", "reason")


class _Scored(NamedTuple):
    """The rows of a chunk as JSON, which the journal takes as it is, and how many of them were refused."""

    rows_json: str
    n_refused: int


def score_archive(job: Job, out: Path, *, workers: int, as_finished: bool) -> Totals:
    """Score every ECG of a job into the table ``out``. A killed run goes on where it was; the rows stand in the order
    of the paths, to the same bytes whatever was killed and however many processes there are, or ``as_finished`` in the
    order of getting done.

    Raises:
        BundleError: there is no valid bundle.
        EcgError: ``out`` is a folder, of no format that is written, or would be scored too; another run is unfinished
            there.
        MissingDependency: what the format or a URL needs is not installed.
        OSError: the disk.
    """
    kind = table_format(out)
    _refuse_place(job, out)
    about = job.about()
    folder = unfinished_at(out)
    with Journal(folder, job.plan(), partial(found, job.inputs)) as journal:
        if not journal.n_sources:
            discard(folder)  # or the empty list would stand when there are some
            raise EcgError(f"there is no file below {', '.join(job.inputs)[:200]}; expected ECGs")
        _score(job, journal, workers)
        rows = journal.rows_as_finished() if as_finished else journal.rows()
        counts: Counter[Status] = Counter()
        with ExitStack() as stack:
            table = stack.enter_context(written(folder / "table", kind, about))
            lines = stack.enter_context((folder / "rejects").open("w", encoding="utf-8", newline=""))
            rejects = CsvTable(lines, REJECT_COLUMNS)
            for chunk in rows:
                table.add(chunk)
                rejects.add([reject_of(row) for row in chunk if value_of(row, "error") is not None])
                counts.update(Status(str(value_of(row, "status"))) for row in chunk)
        found_totals = totals(counts)
        (folder / "about").write_text(about_text(about, found_totals), encoding="utf-8")
        for part, path in {"rejects": rejects_path(out), "about": about_path(out), "table": out}.items():
            _to_disk(folder / part, path)
    discard(folder)
    return found_totals


def would_overwrite(out: Path) -> list[Path]:
    """What is there where a table would be written; beside a table that is not finished, it may be a part of that."""
    paths = [out] if unfinished_at(out).is_dir() else [out, rejects_path(out), about_path(out)]
    return [path for path in paths if path.exists() or path.is_symlink()]


def unfinished_at(out: Path) -> Path:
    """Where stands what is done of a table."""
    return out.with_name(out.name + ".part")


def rejects_path(out: Path) -> Path:
    """Where the reject list of a table stands."""
    return out.with_suffix(".rejects.csv")


def about_path(out: Path) -> Path:
    """Where stands what a table is."""
    return out.with_suffix(".about.json")


def about_text(about: dict[str, Any], found: Totals) -> str:
    """What a table is, with what became of the ECGs."""
    counts = {"estimated": found.estimated, "withheld": found.withheld, "refused": found.refused}
    return json.dumps({**about, "counts": counts}, indent=1)


def reject_of(row: Row) -> Row:
    """The line of a refused ECG in the reject list."""
    return [value_of(row, name) for name in REJECT_COLUMNS]


def _score(job: Job, journal: Journal, workers: int) -> None:
    progress = Progress("estimating", journal.n_sources, done=journal.n_done)
    n_refused = 0
    pool = Workers(partial(_scored, job), workers)
    for chunk, scored in pool.finished(journal.missing()):
        rows_json, refused = scored or _one_by_one(job, pool, chunk)
        journal.add(chunk.number, rows_json)
        n_refused += refused
        progress.step(len(chunk.sources), f"{n_refused} refused" if n_refused else "")


def _one_by_one(job: Job, pool: Workers[Chunk, _Scored], chunk: Chunk) -> _Scored:
    """A chunk that ended its process: every ECG of it in a process of its own."""
    rows: list[Row] = []
    for source in chunk.sources:
        alone = pool.alone(Chunk(chunk.number, (source,)))
        rows += json.loads(alone.rows_json) if alone else [_scorer(job).died(source)]
    return _packed(rows)


def _scored(job: Job, chunk: Chunk) -> _Scored:
    return _packed(_scorer(job).rows(chunk.sources))


def _packed(rows: list[Row]) -> _Scored:
    n_refused = sum(value_of(row, "error") is not None for row in rows)
    return _Scored(json.dumps(rows, allow_nan=False, separators=(",", ":")), n_refused)


@lru_cache(maxsize=1)
def _scorer(job: Job) -> Scorer:
    """The model, loaded once a process."""
    return Scorer(job)


def _refuse_place(job: Job, out: Path) -> None:
    place = out.resolve()
    if place.is_dir():
        raise EcgError(f"{out} is a folder; expected the name of a table in it with --out")
    for path in job.inputs:
        if not object_store.is_url(path) and (place == Path(path).resolve() or Path(path).resolve() in place.parents):
            raise EcgError(f"{out} lies in {path} and would be scored with it; choose another place with --out")


def _to_disk(part: Path, path: Path) -> None:
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(path)
