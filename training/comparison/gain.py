"""What one method gains over another on the same test patients, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from ecg_ka.uncertainty import Regions
from training.comparison.cells import Cell
from training.metrics import SHOTS, Floats, label_bins
from training.metrics_bootstrap import patient_counts

RESAMPLES = 2000
MEASURES = ("few-shot MAE", "many-shot MAE", "balanced MAE")


class Difference(NamedTuple):
    """Mean over seeds of an MAE minus another in mmol/L, its 95 % interval, and the difference in every seed."""

    value: float
    lower: float
    upper: float
    by_seed: tuple[float, ...]

    @property
    def half_over_seeds(self) -> float:
        """Half the 95 % interval of Student's t of the mean over seeds: cohort and network chosen anew each time."""
        n = len(self.by_seed)
        if n < 2:
            return float("nan")
        return float(stats.t.ppf(0.975, n - 1) * np.std(self.by_seed, ddof=1) / np.sqrt(n))

    @property
    def is_lower(self) -> bool:
        """The first method has the smaller error: the whole interval is below 0, and so is every seed."""
        return self.upper < 0 and max(self.by_seed) < 0

    @property
    def is_higher(self) -> bool:
        """The whole interval is above 0, and so is every seed."""
        return self.lower > 0 and min(self.by_seed) > 0


def differences(ours: Sequence[Cell], theirs: Sequence[Cell], resamples: int = RESAMPLES) -> dict[str, Difference]:
    """By measure of :data:`MEASURES`, from cells of the same seeds in the same order.

    Paired bootstrap: test patients (each has one ECG) are drawn with replacement within every seed, the same for both
    methods. The interval is the difference plus and minus 1.96 SD over resamples (Efron & Tibshirani 1993, 13.3), not
    that of percentiles: resamples often lack a label that one patient alone has, which shifts balanced MAE in them, but
    hardly its SD. It covers the choice of patients; the choice of cohort and network shows in ``by_seed``.

    Raises:
        ValueError: cells that were not tested on the same patients.
    """
    return _compared(ours, theirs, resamples, np.subtract)


def changes(ours: Sequence[Cell], theirs: Sequence[Cell], resamples: int = RESAMPLES) -> dict[str, Difference]:
    """The same for the share by which the first MAE lies above the second."""
    return _compared(ours, theirs, resamples, lambda a, b: np.asarray(a / b - 1))


def _compared(
    ours: Sequence[Cell], theirs: Sequence[Cell], resamples: int, compare: Callable[[Floats, Floats], Floats]
) -> dict[str, Difference]:
    pairs = list(zip(ours, theirs, strict=True))
    if any(not np.array_equal(a.outcome.labels, b.outcome.labels) for a, b in pairs):
        raise ValueError("the two methods were tested on different patients; compare cells of the same prior and seed")
    found = [(_maes(a, resamples), _maes(b, resamples)) for a, b in pairs]
    return {measure: _summary([compare(a[measure], b[measure]) for a, b in found]) for measure in MEASURES}


def _summary(by_seed: list[Floats]) -> Difference:
    """From the differences (1 + resamples,) of every seed, of which the first is that of the patients as they are."""
    mean = np.mean(by_seed, axis=0)
    value, half = float(mean[0]), 1.96 * float(mean[1:].std(ddof=1))
    return Difference(value, value - half, value + half, tuple(float(d[0]) for d in by_seed))


def _maes(cell: Cell, resamples: int) -> dict[str, Floats]:
    """Each measure (1 + resamples,) of one seed; the resamples are those of every cell of the seed."""
    labels, estimates, _ = cell.outcome
    times, error = _times(len(labels), resamples, cell.seed), np.abs(estimates - labels)
    return {measure: _mean_mae(times, error, members) for measure, members in _members(labels).items()}


def _members(labels: Floats) -> dict[str, Floats]:
    """For each measure which patient belongs to which of its groups, (n, g) of 0 and 1."""
    groups, bins = Regions().group(labels), label_bins(labels)
    few, many = (np.isin(groups, SHOTS[name]).astype(np.float64)[:, None] for name in ("few", "many"))
    balanced = (bins[:, None] == np.unique(bins)).astype(np.float64)
    return dict(zip(MEASURES, (few, many, balanced), strict=True))


@lru_cache(maxsize=1)
def _times(n: int, resamples: int, seed: int) -> Floats:
    """How often each of n patients counts: once as they are, then in every resample (1 + resamples, n)."""
    return np.vstack([np.ones(n), patient_counts(n, resamples, np.random.default_rng(seed))])


def _mean_mae(times: Floats, error: Floats, members: Floats) -> Floats:
    """Mean over groups of the MAE in each, for each resample (1 + resamples,); a group that nobody was drawn from is
    left out, and without any it is NaN."""
    n = times @ members  # (1 + resamples, g)
    maes = np.divide(times @ (members * error[:, None]), n, out=np.zeros_like(n), where=n > 0)
    present = (n > 0).sum(axis=1)
    return np.asarray(np.divide(maes.sum(axis=1), present, out=np.full(len(n), np.nan), where=present > 0))


def statement(title: str, other: str, found: dict[str, Difference]) -> str:
    """What the differences say, in plain words: better or worse is said only if no interval lies on the other side."""
    lower = [measure for measure, d in found.items() if d.is_lower]
    higher = [measure for measure, d in found.items() if d.is_higher]
    unclear = [measure for measure in found if measure not in lower + higher]
    against = [m for m in unclear if (found[m].lower > 0 if lower else found[m].upper < 0)]
    if lower and higher:
        verdict = f"It trades: {_list(lower)} lower, {_list(higher)} higher."
    elif against and (lower or higher):
        ours, theirs = ("lower", "higher") if lower else ("higher", "lower")
        verdict = f"{_start(lower + higher)} {ours}; by its interval {_list(against)} {theirs}, but not in every seed."
    elif lower:
        verdict = f"It is better: {_list(lower)} lower, nothing shown to be higher."
    elif higher:
        verdict = f"It is worse: {_list(higher)} higher, nothing shown to be lower."
    else:
        verdict = "No difference is shown."
    doubt = f" {_start(unclear)} not shown to differ." if unclear and lower + higher and not against else ""
    figures = "; ".join(f"{measure} {interval(d)}" for measure, d in found.items())
    return f"{title} against {other}: {figures} mmol/L. {verdict}{doubt}"


def interval(d: Difference) -> str:
    """The difference with its 95 % interval."""
    return f"{d.value:+.3f} ({d.lower:+.3f} to {d.upper:+.3f})"


def _start(names: list[str]) -> str:
    return _list(names)[0].upper() + _list(names)[1:]


def _list(names: list[str]) -> str:
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last
