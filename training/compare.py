"""Compare Dist Loss with every method it complements and with the controls that cost nothing.

    python -m training.compare --out runs/compare

For each prior and seed: one L1 backbone end to end, then heads on its stored features and mappings of its estimates;
for the first prior also methods trained end to end. Every finished cell is a file of its own in the run folder, so the
same command goes on after a kill. At the end stand comparison.md, comparison/*.png and comparison/results.json.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ecg_ka.simulator import Prior
from training.comparison import report
from training.comparison.cells import Cell
from training.comparison.methods import BACKBONE, TIER_1, TIER_2, Method
from training.comparison.plan import PRIORS, WHOLE_PRIOR, CompareConfig
from training.comparison.results import LEAST_AUROC, Group, measures, refuse_weak_backbones
from training.comparison.site import Site
from training.config import parse


@dataclass(frozen=True, slots=True)
class Table:
    """One group before its cells are there."""

    name: str
    title: str
    prior: Prior
    methods: Sequence[Method]


TABLES = (
    *(Table(p.value, f'Prior "{p}": heads on the features of L1', p, TIER_1) for p in PRIORS),
    Table(f"{WHOLE_PRIOR}-whole", f'Prior "{WHOLE_PRIOR}": end to end', WHOLE_PRIOR, TIER_2),
)


def main() -> None:
    """Entry point of ``python -m training.compare``."""
    print(f"written: {run(parse(CompareConfig))}")


def run(config: CompareConfig, least_auroc: float | None = LEAST_AUROC) -> Path:
    """Compute what is missing and write the report; returns the path of its page.

    Raises:
        ValueError: a table whose L1 backbones have a mean AUROC at K >= 5.5 below ``least_auroc``, as soon as they are
            trained; no report is written.
    """
    torch.set_num_threads(config.threads)
    cells = {(cell.prior, cell.method, cell.seed): cell for cell in _cells(config, least_auroc)}
    groups = []
    for t in TABLES:
        by_method = {m.name: [cells[t.prior.value, m.name, seed] for seed in _seeds(config)] for m in t.methods}
        groups.append(Group(t.name, t.title, t.prior.value, t.methods, by_method))
    return report.write(config, groups, least_auroc)


def _cells(config: CompareConfig, least_auroc: float | None) -> Iterator[Cell]:
    """All cells, the backbones first: whether they are good enough decides about the rest."""
    total = config.seeds * sum(len(_methods(prior)) for prior in PRIORS)
    started = time.monotonic()
    for done, cell in enumerate(itertools.chain(_backbones(config, least_auroc), _others(config)), start=1):
        _say(f"[{done}/{total}, {time.monotonic() - started:.0f} s]", cell)
        yield cell


def _backbones(config: CompareConfig, least_auroc: float | None) -> Iterator[Cell]:
    for prior in PRIORS:
        cells = []
        for seed in _seeds(config):
            cells.append(Site(config, prior, seed).cell(BACKBONE))
            yield cells[-1]
        refuse_weak_backbones(cells, least_auroc)


def _others(config: CompareConfig) -> Iterator[Cell]:
    for prior in PRIORS:
        for seed in _seeds(config):
            site = Site(config, prior, seed)
            for method in _methods(prior):
                if method is not BACKBONE:
                    yield site.cell(method)


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
