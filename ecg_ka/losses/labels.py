"""The distribution of the training labels: its quantiles, and weights that grow where labels are rare."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


class LabelDistribution:
    """The empirical distribution of training labels (n,), in the unit of the labels.

    Raises:
        ValueError: no labels, or labels that are not finite.
    """

    def __init__(self, sorted_labels: NDArray[np.float64]) -> None:
        self._sorted = sorted_labels

    @classmethod
    def from_labels(cls, labels: ArrayLike) -> LabelDistribution:
        """From the labels of the training set, in any order."""
        values = np.sort(np.asarray(labels, dtype=np.float64).ravel())
        if values.size == 0 or not np.isfinite(values).all():
            raise ValueError(
                f"{values.size} labels, all finite: {bool(np.isfinite(values).all())}; expected >= 1 finite"
            )
        return cls(values)

    @property
    def sha256(self) -> str:
        """Identity of the distribution: SHA-256 of the sorted labels as little-endian float64."""
        return hashlib.sha256(self._sorted.astype("<f8").tobytes()).hexdigest()

    @property
    def labels(self) -> NDArray[np.float64]:
        """The sorted labels (n,)."""
        return self._sorted.copy()

    def quantile(self, u: ArrayLike) -> NDArray[np.float64]:
        """F^-1 at probabilities ``u`` in [0, 1], linear between order statistics (type 7 of Hyndman & Fan 1996)."""
        return np.asarray(np.quantile(self._sorted, np.asarray(u, dtype=np.float64)), dtype=np.float64)

    def targets(self, n: int) -> NDArray[np.float64]:
        """The labels (n,) that n sorted predictions ought to have: F^-1((i - 1/2)/n) for i = 1..n."""
        return self.quantile((np.arange(n) + 0.5) / n)


class InverseDensityWeights:
    """Weight of a label: (its bin's share of the training labels)^-power, clipped, with mean 1 over those labels.

    ``power`` 1 gives INV, 0.5 gives SQINV (Yang et al., ICML 2021). Labels are binned by rounding to multiples of
    ``bin_width`` (label unit). ``max_ratio`` limits the largest weight to that multiple of the smallest.

    Raises:
        ValueError: no labels, or a power outside (0, 1].
    """

    def __init__(self, labels: ArrayLike, *, bin_width: float, power: float = 1.0, max_ratio: float = 100.0) -> None:
        values = np.asarray(labels, dtype=np.float64).ravel()
        if values.size == 0 or not 0 < power <= 1:
            raise ValueError(f"{values.size} labels and power {power}; expected at least one label and 0 < power <= 1")
        self.bin_width = bin_width
        bins = np.rint(values / bin_width).astype(np.int64)
        self._first = int(bins.min())
        counts = np.bincount(bins - self._first).astype(np.float64)
        weights = np.maximum(counts, 1.0) ** -power
        weights = np.minimum(weights, weights.min() * max_ratio)
        self._weights = torch.from_numpy(weights / weights[bins - self._first].mean()).float()

    def __call__(self, labels: Tensor) -> Tensor:
        """Weights, shaped as ``labels``, on their device; labels beyond the training range take the nearest bin's."""
        bins = torch.round(labels.detach().float() / self.bin_width).long() - self._first
        table = self._weights.to(labels.device)
        return table[bins.clamp(0, len(table) - 1)]

    def table(self) -> Sequence[float]:
        """The weights by bin, lowest label first."""
        return [float(w) for w in self._weights]
