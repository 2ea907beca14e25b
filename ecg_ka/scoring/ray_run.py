"""An archive on many hosts, by Ray Data (extra ``cluster``): actors that load the model once, a table in parts.

Ray keeps the work: it starts an actor anew when its process or host is lost, and gives its ECGs to another.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ecg_ka.errors import EcgError, MissingDependency
from ecg_ka.scoring.archive_run import REJECT_COLUMNS, about_text
from ecg_ka.scoring.job import Job, Scorer, Totals, totals
from ecg_ka.scoring.listing import found
from ecg_ka.scoring.object_store import fsspec
from ecg_ka.scoring.row import Status
from ecg_ka.scoring.source import Source
from ecg_ka.scoring.tables import CsvTable, arrow, arrow_table
from ecg_ka.scoring.workers import one_thread

if TYPE_CHECKING:
    from types import ModuleType

    import pyarrow as pa

_BATCH = 32  # ECGs that an actor gets at a time, and that are read again when it is lost
_LONGEST_BLOCK = 4096  # ECGs of one block of the listing, of which an archive of 100 million has 24,000
_BLOCKS_AN_ACTOR = 8  # so that all have work to the end
_ATTEMPTS = 3


def score_on_ray(job: Job, out: str, *, actors: int, address: str | None) -> Totals:
    """Score every ECG of a job into Parquet files below ``out``, a folder or URL that every host can write to, as every
    host has to reach the inputs and the bundle. ``address`` is that of a running cluster; None starts Ray here.

    Raises:
        BundleError: there is no valid bundle.
        EcgError: nothing is there to score, or something is at ``out`` already.
        MissingDependency: Ray is not installed.
    """
    ray, files = _ray(), fsspec()
    about = job.about()
    filesystem, folder = files.core.url_to_fs(out)
    if filesystem.exists(folder) and filesystem.ls(folder):
        raise EcgError(f"{out} is not empty; choose another place with --out")
    blocks = list(_blocks(job, actors))
    if not blocks:
        raise EcgError(f"there is no file below {', '.join(job.inputs)[:200]}; expected ECGs")
    one_thread()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it reports to its maker otherwise
    ray.init(address=address, num_cpus=None if address else actors, include_dashboard=False, log_to_driver=False)
    try:
        scored = ray.data.from_arrow(blocks).map_batches(
            _Actor,
            fn_constructor_args=(job, about),
            batch_size=_BATCH,
            batch_format="pyarrow",
            concurrency=actors,
            num_cpus=1,
            max_restarts=-1,
            max_task_retries=_ATTEMPTS,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
        )
        scored.write_parquet(f"{out}/rows" if "://" in out else folder + "/rows")
    finally:
        ray.shutdown()
    return _summed_up(filesystem, folder, about)


class _Actor:
    """One process of the cluster."""

    def __init__(self, job: Job, about: dict[str, Any]) -> None:
        self._scorer, self._about = Scorer(job), about

    def __call__(self, batch: pa.Table) -> pa.Table:
        sources = map(Source.from_line, batch.column("source").to_pylist())
        return arrow_table(self._scorer.rows(list(sources)), self._about)


def _blocks(job: Job, actors: int) -> Iterator[pa.Table]:
    """The listing in pieces: small ones for few ECGs, so that every actor gets some."""
    table = partial(arrow().Table.from_pylist, schema=arrow().schema([("source", arrow().string())]))
    lines = (source.to_line() for source in found(job.inputs))
    size = _BATCH
    while block := list(islice(lines, size)):
        yield table([{"source": line} for line in block])
        size = min(size + size // (_BLOCKS_AN_ACTOR * actors) + 1, _LONGEST_BLOCK)


def _summed_up(filesystem: Any, folder: str, about: dict[str, Any]) -> Totals:
    """Write the reject list and what the table is, from the parts that the actors wrote."""
    counts: Counter[Status] = Counter()
    with filesystem.open(f"{folder}/rejects.csv", "w", encoding="utf-8", newline="") as stream:
        rejects = CsvTable(stream, REJECT_COLUMNS)
        for path in sorted(filesystem.find(f"{folder}/rows")):
            with filesystem.open(path, "rb") as part:
                for group in arrow().parquet.ParquetFile(part).iter_batches(columns=["status", *REJECT_COLUMNS]):
                    for row in group.to_pylist():
                        counts[Status(row["status"])] += 1
                        if row["error"] is not None:
                            rejects.add([[row[name] for name in REJECT_COLUMNS]])
    found_totals = totals(counts)
    with filesystem.open(f"{folder}/about.json", "w", encoding="utf-8") as stream:
        stream.write(about_text(about, found_totals))
    return found_totals


def _ray() -> ModuleType:
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingDependency("--engine ray needs Ray: pip install 'ecg-ka[cluster]'") from None
    return ray  # type: ignore[no-any-return]
