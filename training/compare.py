"""Compare Dist Loss with every method it complements and with the controls that cost nothing.

    python -m training.compare --out runs/compare

For each prior and seed: one L1 backbone end to end, then heads on its stored features and mappings of its estimates;
for the first prior also methods trained end to end, and what might move the trade-off itself. Every finished cell is a
file of its own in the run folder, so the same command goes on after a kill. At the end stand comparison.md,
comparison/*.png and comparison/results.json.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import torch

from ecg_ka.scoring.workers import one_thread
from ecg_ka.simulator import Prior
from training.comparison import report
from training.comparison.cells import Cell
from training.comparison.methods import (
    BACKBONE,
    BEYOND,
    DIST,
    DIST_WHOLE,
    PAPER,
    TIER_1,
    TIER_2,
    TIER_3,
    Method,
)
from training.comparison.plan import PRIORS, WHOLE_PRIOR, CompareConfig
from training.comparison.results import LEAST_AUROC, Group, measures, refuse_weak_backbones
from training.comparison.site import Site
from training.config import execute


@dataclass(frozen=True, slots=True)
class Table:
    """One group before its cells are there."""

    name: str
    title: str
    prior: Prior
    methods: Sequence[Method]
    asked: Sequence[Method]


TABLES = (
    *(
        Table(
            p.value,
            f'Prior "{p}": heads on the features of L1',
            p,
            TIER_1,
            (PAPER, *(m for m in DIST if m is not PAPER)),
        )
        for p in PRIORS
    ),
    Table(f"{WHOLE_PRIOR}-whole", f'Prior "{WHOLE_PRIOR}": end to end', WHOLE_PRIOR, TIER_2, (DIST_WHOLE,)),
    Table(f"{WHOLE_PRIOR}-beyond", f'Prior "{WHOLE_PRIOR}": other features', WHOLE_PRIOR, TIER_3, BEYOND),
)


@dataclass(frozen=True, slots=True)
class Task:
    """A cell to compute."""

    prior: Prior
    seed: int
    method: Method


def main() -> None:
    """Entry point of ``python -m training.compare``."""
    execute(CompareConfig, lambda config: print(f"written: {run(config)}"))


def run(config: CompareConfig, least_auroc: float | None = LEAST_AUROC) -> Path:
    """Compute what is missing and write the report; returns the path of its page.

    Raises:
        ValueError: a table whose L1 backbones have a mean AUROC at K >= 5.5 below ``least_auroc``, as soon as they are
            trained; no report is written.
    """
    cells = {(cell.prior, cell.method, cell.seed): cell for cell in _cells(config, least_auroc)}
    groups = []
    for t in TABLES:
        by_method = {m.name: [cells[t.prior.value, m.name, seed] for seed in _seeds(config)] for m in t.methods}
        groups.append(Group(t.name, t.title, t.prior.value, t.methods, t.asked, by_method))
    return report.write(config, groups, least_auroc)


def _cells(config: CompareConfig, least_auroc: float | None) -> Iterator[Cell]:
    """All cells; the backbones first: whether they are good enough decides about the rest."""
    tasks = [Task(prior, seed, method) for prior in PRIORS for seed in _seeds(config) for method in _methods(prior)]
    _build_cohorts(config, tasks)
    started = time.monotonic()
    done: list[Cell] = []
    with get_context("spawn").Pool(config.workers, initializer=one_thread) as pool:
        for phase in _phases(tasks):
            for cell in pool.imap(partial(_compute, config), phase):
                done.append(cell)
                _say(f"[{len(done)}/{len(tasks)}, {time.monotonic() - started:.0f} s]", cell)
                yield cell
            _refuse_weak(done, least_auroc)


def _phases(tasks: Sequence[Task]) -> list[list[Task]]:
    """Backbones, then one cell of every other network, then what needs networks that are there by then: no two
    processes ever train the same one."""
    first = [task for task in tasks if task.method is BACKBONE]
    trained = {(t.prior, t.seed, BACKBONE.networks): t for t in first}
    for task in tasks:
        if len(task.method.networks) == 1:
            trained.setdefault((task.prior, task.seed, task.method.networks), task)
    others = [task for task in trained.values() if task.method is not BACKBONE]
    return [first, others, [task for task in tasks if task not in trained.values()]]


def _build_cohorts(config: CompareConfig, tasks: Sequence[Task]) -> None:
    """Those that a cell needs which is not on disk."""
    for task in tasks:
        site = Site(config, task.prior, task.seed)
        if not site.has(task.method):
            site.build_cohorts(task.method.networks)


@lru_cache(maxsize=1)
def _site(config: CompareConfig, prior: Prior, seed: int) -> Site:
    """The one that this process worked for last, whose ECGs are in memory."""
    torch.set_num_threads(1)
    return Site(config, prior, seed)


def _compute(config: CompareConfig, task: Task) -> Cell:
    return _site(config, task.prior, task.seed).cell(task.method)


def _refuse_weak(cells: Sequence[Cell], least_auroc: float | None) -> None:
    for prior in PRIORS:
        backbones = [cell for cell in cells if (cell.prior, cell.method) == (prior.value, BACKBONE.name)]
        refuse_weak_backbones(backbones, least_auroc)


def _seeds(config: CompareConfig) -> range:
    return range(1, config.seeds + 1)


def _methods(prior: Prior) -> list[Method]:
    """Each once, though two tables may show it."""
    return list({m.name: m for t in TABLES if t.prior is prior for m in t.methods}.values())


def _say(where: str, cell: Cell) -> None:
    found = measures(cell)
    print(
        f"{where} {cell.prior} seed {cell.seed} {cell.method}: MAE {found['mae']:.3f}, many {found['mae_many']:.3f}, "
        f"few {found['mae_few']:.3f}, AUROC K >= 5.5 {found['auroc>=5.5']:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
