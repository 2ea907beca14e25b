"""Are the estimates of a bundle plausible on real ECGs without potassium values? A plausibility check, not accuracy.

    python -m training.plausibility --data ../shared/data/ptbxl --first 1 --last 100

Reads PTB-XL records (WFDB, 500 Hz and their 100 Hz twins) with the diagnostic statements of ptbxl_database.csv and
prints: estimates by diagnostic class, the share of healthy ECGs (NORM at 80 % or more) outside 3.5-5.5 mmol/L, the SD
of the estimates beside that on simulated controls (a constant predictor would have none), and how far the 100 Hz twin
of a record lies from the 500 Hz one.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecg_ka.bundle import SHIPPED
from ecg_ka.errors import EcgError
from ecg_ka.estimator import Estimator
from ecg_ka.readers import read
from ecg_ka.simulator import CohortSpec, Preset, Prior, as_record, simulate_cohort
from training.config import parse
from training.ptbxl import Entry, entries, superclasses

HEALTHY = "NORM>=80"
PLAUSIBLE_MMOL_L = (3.5, 5.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlausibilityConfig:
    """Estimates of a bundle on PTB-XL."""

    data: Path = field(metadata={"help": "folder of PTB-XL with ptbxl_database.csv"})
    bundle: Path = field(default=SHIPPED, metadata={"help": "bundle folder"})
    first: int = field(default=1, metadata={"help": "first ecg_id"})
    last: int = field(default=200, metadata={"help": "last ecg_id"})


def main() -> None:
    """Entry point of ``python -m training.plausibility``."""
    config = parse(PlausibilityConfig)
    print(report(Estimator.load(config.bundle), config))


def report(estimator: Estimator, config: PlausibilityConfig) -> str:
    """The findings as Markdown."""
    by_class: dict[str, list[float]] = defaultdict(list)
    refused: Counter[str] = Counter()
    twins: list[float] = []
    superclass = superclasses(config.data)
    for ecg_id, entry in entries(config.data).items():
        if not config.first <= ecg_id <= config.last:
            continue
        found = _estimate(estimator, entry.header_500_hz)
        if isinstance(found, str):
            refused[found] += 1
            continue
        for name in ["all", *classes(entry, superclass)]:
            by_class[name].append(found)
        twin = _estimate(estimator, entry.header_100_hz)
        if isinstance(twin, float):
            twins.append(abs(twin - found))
    by_class["simulated, all"] = simulated_controls(estimator, healthy=False)
    by_class["simulated, healthy heart, K 3.5-5.5"] = simulated_controls(estimator, healthy=True)
    lines = ["| class | n | median | SD | 5 % | 95 % | outside 3.5-5.5 |", "|---|---|---|---|---|---|---|"]
    lines += [_row(name, np.array(values)) for name, values in sorted(by_class.items())]
    lines += ["", f"Withheld or refused: {json.dumps(refused)}"]
    if twins:
        lines.append(f"100 Hz twins: {len(twins)} pairs, median difference {np.median(twins):.3f} mmol/L")
    return "\n".join(lines)


def classes(entry: Entry, superclass: Mapping[str, str]) -> set[str]:
    """Diagnostic superclasses of an ECG, from statements at 50 % or more, and :data:`HEALTHY`."""
    found = {superclass[code] for code, percent in entry.statements.items() if code in superclass and percent >= 50}
    return found | {HEALTHY} if entry.is_healthy else found


def simulated_controls(estimator: Estimator, *, healthy: bool) -> list[float]:
    """Estimates on 512 simulated ECGs that training never saw; of the healthy ones those with plausible potassium."""
    spec = CohortSpec(
        preset=Preset.PUBLISHED, prior=Prior.WIDE, n_patients=512, visits_per_patient=1, seed=20_260, healthy=healthy
    )
    low, high = PLAUSIBLE_MMOL_L
    records = (
        as_record(signal, age_years=60)
        for batch in simulate_cohort(spec)
        for signal, potassium in zip(batch.signal_mv, batch.potassium_mmol_l, strict=True)
        if not healthy or low <= potassium <= high
    )
    estimates = (estimator.estimate(record).potassium_mmol_l for record in records)
    return [value for value in estimates if value is not None]


def _estimate(estimator: Estimator, path: Path) -> float | str:
    """Potassium, or why there is none."""
    if not path.is_file():
        return "no file"
    try:
        answer = estimator.estimate(read(path))
    except EcgError as error:
        return type(error).__name__
    return "; ".join(answer.abstain_reasons) if answer.potassium_mmol_l is None else answer.potassium_mmol_l


def _row(name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    low, high = PLAUSIBLE_MMOL_L
    outside = float(((values < low) | (values > high)).mean())
    cells = (np.median(values), values.std(), *np.quantile(values, [0.05, 0.95]))
    return f"| {name} | {len(values)} | " + " | ".join(f"{cell:.2f}" for cell in cells) + f" | {outside:.1%} |"


if __name__ == "__main__":
    main()
