"""Training labels counted in bins of equal width, and the kernel that smooths over neighbouring bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class LabelBins:
    """Counts of training labels, rounded to multiples of ``width`` (label unit).

    ``counts`` (m,) start at the bin of ``first * width``; empty bins between others are counted as 0.
    """

    width: float
    first: int
    counts: NDArray[np.int64]

    @classmethod
    def from_labels(cls, labels: ArrayLike, *, width: float) -> LabelBins:
        """From training labels (n,), in any order.

        Raises:
            ValueError: no labels, labels that are not finite, or a width that is not positive.
        """
        values = np.asarray(labels, dtype=np.float64).ravel()
        if values.size == 0 or not np.isfinite(values).all() or not width > 0:
            raise ValueError(
                f"{values.size} labels, width {width}; expected finite labels, at least one, and width > 0"
            )
        bins = np.rint(values / width).astype(np.int64)
        return cls(width, int(bins.min()), np.bincount(bins - bins.min()))

    def index(self, labels: Tensor) -> Tensor:
        """Position in ``counts`` of every label, shaped as the input; labels outside take the nearest end."""
        bins = torch.round(labels.detach().double() / self.width).long() - self.first
        return bins.clamp(0, len(self.counts) - 1)

    def count(self, labels: ArrayLike) -> NDArray[np.int64]:
        """Number of training labels in the bin of every label, shaped as the input; 0 outside."""
        bins = np.rint(np.asarray(labels, dtype=np.float64) / self.width).astype(np.int64) - self.first
        inside = (bins >= 0) & (bins < len(self.counts))
        return np.where(inside, self.counts[np.clip(bins, 0, len(self.counts) - 1)], 0)


def gaussian_kernel(n_bins: int = 5, sigma_bins: float = 2.0) -> NDArray[np.float64]:
    """exp(-k^2 / 2 sigma^2) over an odd number of bins k around 0, with sum 1.

    Raises:
        ValueError: an even number of bins.
    """
    if n_bins % 2 == 0:
        raise ValueError(f"a kernel of {n_bins} bins has no middle; expected an odd number")
    k = np.arange(n_bins) - n_bins // 2
    kernel = np.exp(-(k**2) / (2 * sigma_bins**2))
    return np.asarray(kernel / kernel.sum())
