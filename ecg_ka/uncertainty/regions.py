"""Many-, median- and few-shot regions of potassium, and the density of the training labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_ka.uncertainty.scores import ROUNDING

BIN_MMOL_L = 0.1

_NAMES = ("few", "median", "many", "median", "few")  # of the groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """Edges in mmol/L: many [many_low, many_high], few < few_low or > few_high, median between.

    The defaults are those of ECG-Ka-DIR (Nie, Tang, Hong 2025), whatever the size of a cohort.
    """

    few_low: float = 3.2
    many_low: float = 3.6
    many_high: float = 4.6
    few_high: float = 5.3

    def __post_init__(self) -> None:
        if not np.isfinite(self.edges).all() or list(self.edges) != sorted(self.edges):
            raise ValueError(f"region edges {self} are not in ascending order")

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """The four edges in ascending order."""
        return self.few_low, self.many_low, self.many_high, self.few_high

    def group(self, potassium_mmol_l: ArrayLike) -> NDArray[np.int64]:
        """0 low few, 1 low median, 2 many, 3 high median, 4 high few; shaped as the input."""
        k = np.asarray(potassium_mmol_l, dtype=np.float64)
        at_least = (k >= self.few_low - ROUNDING).astype(np.int64) + (k >= self.many_low - ROUNDING)
        above = (k > self.many_high + ROUNDING).astype(np.int64) + (k > self.few_high + ROUNDING)
        return np.asarray(at_least + above)

    def name(self, potassium_mmol_l: float) -> str:
        """``many``, ``median`` or ``few``."""
        return _NAMES[self.group_of(potassium_mmol_l)]

    def reached(self, lower_mmol_l: float, upper_mmol_l: float, label_step_mmol_l: float) -> tuple[str, ...]:
        """The names of the regions between two values, once they are recorded in such steps, from ``many`` to
        ``few``."""
        half = label_step_mmol_l / 2
        reached = _NAMES[self.group_of(lower_mmol_l, half) : self.group_of(upper_mmol_l, half) + 1]
        return tuple(name for name in ("many", "median", "few") if name in reached)

    def group_of(self, k: float, half_step: float = 0.0) -> int:
        """:meth:`group` of one value, at a tenth of its cost; ``half_step`` is rounded to the edges."""
        margin = half_step + ROUNDING
        at_least = k >= self.few_low - margin, k >= self.many_low - margin
        return sum((*at_least, k > self.many_high + margin, k > self.few_high + margin))


@dataclass(frozen=True, slots=True, eq=False)
class LabelDensity:
    """Counts of training labels in bins of 0.1 mmol/L, of the natural cohort before any enrichment.

    ``first_bin`` is the lowest label in steps of 0.1 mmol/L; ``counts`` (m,) follow upwards. ``n_train`` patients
    trained the network: more or fewer than those counted when training enriched the natural cohort.
    """

    first_bin: int
    counts: NDArray[np.int64]
    n_train: int

    def __post_init__(self) -> None:
        are_counts = self.counts.ndim == 1 and (self.counts >= 0).all() and self.counts.sum() > 0
        if not are_counts or not 1 <= self.n_train < 2**53:
            raise ValueError(f"{self} is no density; expected counts of labels, and at least one training ECG")

    @classmethod
    def from_labels(cls, labels_mmol_l: ArrayLike, n_train: int | None = None) -> LabelDensity:
        """From labels (n,) of the natural cohort, one a patient; ``n_train`` of None stands for n."""
        bins = np.rint(np.asarray(labels_mmol_l, dtype=np.float64) / BIN_MMOL_L).astype(np.int64)
        return cls(int(bins.min()), np.bincount(bins - bins.min()), len(bins) if n_train is None else n_train)

    @classmethod
    def from_dict(cls, saved: Mapping[str, object]) -> LabelDensity:
        """What :meth:`to_dict` wrote."""
        counts = np.asarray(saved["counts"], dtype=np.int64)
        return cls(int(str(saved["first_bin"])), counts, int(str(saved["n_train"])))

    def to_dict(self) -> dict[str, object]:
        """Plain JSON types."""
        return {"first_bin": self.first_bin, "counts": self.counts.tolist(), "n_train": self.n_train}

    def n_near(self, potassium_mmol_l: float) -> int:
        """Number of labels within 0.1 mmol/L of the estimate, rounded to 0.1: their natural share of ``n_train``."""
        return round(self._share(potassium_mmol_l) * self.n_train)

    def density(self, potassium_mmol_l: float) -> float:
        """Share of natural labels per mmol/L around the estimate (window of three bins)."""
        return self._share(potassium_mmol_l) / (3 * BIN_MMOL_L)

    def _share(self, potassium_mmol_l: float) -> float:
        counts, total = _counted(self)
        middle = round(potassium_mmol_l / BIN_MMOL_L) - self.first_bin
        return sum(counts[max(0, middle - 1) : max(0, middle + 2)]) / total


@lru_cache(maxsize=4)
def _counted(density: LabelDensity) -> tuple[list[int], int]:
    """Its counts, and how many labels these are."""
    return density.counts.tolist(), int(density.counts.sum())
