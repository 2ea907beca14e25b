"""The distribution of the training labels, held as its quantile function."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]

_CELLS_PER_BANDWIDTH = 20  # of a KDE: the quantiles are exact to about bandwidth / 1000
_REACH = 6  # bandwidths beyond the outermost label where a kernel ends


@dataclass(frozen=True, slots=True, eq=False)
class LabelDistribution:
    """F^-1 as a polyline through (``probabilities`` (m,), ``labels`` (m,)), both ascending, labels in label units.

    A label that occurs often is a level piece of the line. However it was made, a distribution is these two arrays.

    Raises:
        ValueError: arrays that differ in length, descend, are not finite, or probabilities that do not go from 0 to 1.
    """

    probabilities: Floats
    labels: Floats

    def __post_init__(self) -> None:
        u, y = self.probabilities, self.labels
        if u.ndim != 1 or u.shape != y.shape or len(u) < 2 or not np.isfinite(u).all() or not np.isfinite(y).all():
            raise ValueError(f"probabilities {u.shape} and labels {y.shape}; expected finite (m,) with m >= 2")
        if u[0] != 0 or u[-1] != 1 or (np.diff(u) < 0).any() or (np.diff(y) < 0).any():
            raise ValueError("probabilities must ascend from 0 to 1, and labels must ascend")

    @classmethod
    def from_labels(cls, labels: ArrayLike) -> LabelDistribution:
        """The empirical distribution of labels (n,): quantiles as ``numpy.quantile`` gives them, linear between order
        statistics (type 7 of Hyndman & Fan 1996).

        Raises:
            ValueError: no labels, or labels that are not finite.
        """
        values, counts = _distinct(labels)
        last = np.cumsum(counts) - 1  # position of the last and the first of equal labels among all, from 0
        positions = np.stack([last - counts + 1, last], axis=1).ravel()  # (2m,)
        if positions[-1] == 0:
            return cls(np.array([0.0, 1.0]), np.repeat(values, 2))
        is_new = np.append(np.diff(positions) > 0, True)  # a label that occurs once is one point
        return cls(positions[is_new] / positions[-1], np.repeat(values, 2)[is_new])

    @classmethod
    def kde(
        cls, labels: ArrayLike, *, bandwidth: float, bounds: tuple[float, float] | None = None
    ) -> LabelDistribution:
        """Gaussian kernels of SD ``bandwidth`` (label unit) around labels (n,). What would lie beyond ``bounds`` is
        reflected back inside (Schuster 1985); they are the outermost labels if not given, and infinite ones reflect
        nothing. It widens the distribution: a perfect predictor pays for that.

        Raises:
            ValueError: no finite labels, a bandwidth that is not positive, or labels outside the bounds.
        """
        values, counts = _distinct(labels)
        low, high = (values[0], values[-1]) if bounds is None else bounds
        if not bandwidth > 0 or values[0] < low or values[-1] > high:
            raise ValueError(f"bandwidth {bandwidth}, bounds {low} to {high}, labels {values[0]} to {values[-1]}")
        start, end = max(low, values[0] - _REACH * bandwidth), min(high, values[-1] + _REACH * bandwidth)
        grid = np.linspace(start, end, max(2, int(np.ceil(_CELLS_PER_BANDWIDTH * (end - start) / bandwidth)) + 1))
        sources = (values, *(2 * bound - values for bound in (low, high) if np.isfinite(bound)))
        cdf = np.array([sum(counts @ ndtr((y - source) / bandwidth) for source in sources) for y in grid])
        return cls._scaled(np.maximum.accumulate(cdf - cdf[0]), grid)  # rounding may descend where there is nothing

    @classmethod
    def from_dict(cls, saved: Mapping[str, Sequence[float]]) -> LabelDistribution:
        """What :meth:`to_dict` wrote."""
        return cls(*(np.asarray(saved[key], dtype=np.float64) for key in ("probabilities", "labels")))

    @classmethod
    def _scaled(cls, masses_below: Floats, labels: Floats) -> LabelDistribution:
        """From cumulated masses (m,) that start at 0; nothing but one label if there is no mass between."""
        if masses_below[-1] == 0:
            return cls(np.array([0.0, 1.0]), labels[[0, -1]])
        u = np.minimum(masses_below / masses_below[-1], 1.0)
        return cls(u, labels)

    def to_dict(self) -> dict[str, list[float]]:
        """Plain JSON types, exact."""
        return {"probabilities": self.probabilities.tolist(), "labels": self.labels.tolist()}

    @property
    def sha256(self) -> str:
        """Identity of the distribution: SHA-256 of both arrays as little-endian float64."""
        return hashlib.sha256(np.stack([self.probabilities, self.labels]).astype("<f8").tobytes()).hexdigest()

    def quantile(self, u: ArrayLike) -> Floats:
        """F^-1 at probabilities ``u`` in [0, 1], shaped as the input."""
        return np.asarray(np.interp(np.asarray(u, dtype=np.float64), self.probabilities, self.labels), dtype=np.float64)

    def targets(self, n: int) -> Floats:
        """The labels (n,) that n sorted predictions ought to have: F^-1((i - 1/2)/n) for i = 1..n."""
        return self.quantile((np.arange(n) + 0.5) / n)

    def density(self, y: ArrayLike) -> Floats:
        """Share of the labels per label unit at ``y``, shaped as the input; it integrates to 1.

        Every distinct label has a cell that ends half-way to its neighbours, and the density is constant in it: for
        labels in steps of 0.1 it is their histogram with bins of 0.1. An end label that occurs more than once has the
        outer half of its cell too.

        Raises:
            ValueError: a distribution of one label alone, which has no density.
        """
        values, first = np.unique(self.labels, return_index=True)
        if len(values) == 1:
            raise ValueError(f"all labels are {values[0]}: one label alone has no density")
        last = np.append(first[1:], len(self.labels)) - 1
        middles = (self.probabilities[last[:-1]] + self.probabilities[first[1:]]) / 2  # F at the ends of the cells
        masses = np.diff(middles, prepend=0.0, append=1.0)
        half = np.diff(values) / 2
        start = values[0] - half[0] * (self.probabilities[last[0]] > 0)
        end = values[-1] + half[-1] * (self.probabilities[first[-1]] < 1)
        edges = np.concatenate([[start], values[:-1] + half, [np.nextafter(end, np.inf)]])  # the end is inside
        padded = np.concatenate([[0.0], masses / np.diff(edges), [0.0]])
        return np.asarray(padded[np.searchsorted(edges, np.asarray(y, dtype=np.float64), side="right")])

    def tempered(self, power: float) -> LabelDistribution:
        """The distribution whose density is proportional to density^power: below 1 rare labels get more of it, 1
        changes nothing. Labels stay where they are, only their shares change.

        Raises:
            ValueError: a distribution of one label alone.
        """
        density = self.density(self.labels)
        between = np.sqrt(density[:-1] * density[1:])  # of each piece of the line
        masses = np.diff(self.probabilities) * np.maximum(between, np.finfo(np.float64).tiny) ** (power - 1)
        return self._scaled(np.concatenate([[0.0], np.cumsum(masses)]), self.labels)


def _distinct(labels: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    """The distinct labels, ascending, and how often each occurs."""
    values = np.asarray(labels, dtype=np.float64).ravel()
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"{values.size} labels, all finite: {bool(np.isfinite(values).all())}; expected >= 1 finite")
    distinct, counts = np.unique(values, return_counts=True)
    return distinct, counts.astype(np.int64)
