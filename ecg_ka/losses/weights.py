"""Weights that grow where training labels are rare."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from torch import Tensor

from ecg_ka.losses.bins import LabelBins, gaussian_kernel


class LabelWeights:
    """``weights(labels)``: a weight by bin of the label, scaled so that the training labels have mean weight 1.

    Shaped as ``labels``, on their device, float32, without gradient; labels beyond the training range take the weight
    of the nearest bin. n_b is the number of training labels in bin b.

    Raises:
        ValueError: not one finite weight of at least 0 a bin, or none above 0 where there are labels.
    """

    def __init__(self, bins: LabelBins, relative: ArrayLike) -> None:
        table = np.asarray(relative, dtype=np.float64)  # (m,)
        if table.shape != bins.counts.shape or not np.isfinite(table).all() or (table < 0).any():
            got = f"{table.min(initial=np.inf)} to {table.max(initial=-np.inf)}, shape {table.shape}"
            raise ValueError(f"weights {got}; expected one a bin, shape {bins.counts.shape}, finite, at least 0")
        if not (table * bins.counts).any():
            raise ValueError("all training labels have weight 0; expected some above 0")
        self.bins = bins
        self._table = torch.from_numpy(table / np.average(table, weights=bins.counts)).float()

    @classmethod
    def inverse(cls, bins: LabelBins, *, least: float = 1.0, most: float = float("inf")) -> LabelWeights:
        """INV: w ~ 1 / clip(n_b, least, most) (Yang et al., ICML 2021)."""
        return cls(bins, 1 / np.clip(bins.counts, max(least, 1.0), most))

    @classmethod
    def inverse_sqrt(cls, bins: LabelBins) -> LabelWeights:
        """SQINV: w ~ 1 / sqrt(n_b); an empty bin counts as 1 (Yang et al., ICML 2021)."""
        return cls(bins, np.maximum(bins.counts, 1.0) ** -0.5)

    @classmethod
    def lds(cls, bins: LabelBins, kernel: NDArray[np.float64] | None = None) -> LabelWeights:
        """LDS, label distribution smoothing: w ~ 1 / (kernel * n)_b, the counts convolved over neighbouring bins (Yang
        et al., ICML 2021). Without a kernel: :func:`gaussian_kernel`. A bin with nothing near counts as the rarest."""
        kernel = gaussian_kernel() if kernel is None else kernel
        smooth = ndimage.convolve1d(bins.counts.astype(np.float64), kernel, mode="constant")
        return cls(bins, 1 / np.maximum(smooth, smooth[smooth > 0].min()))

    def __call__(self, labels: Tensor) -> Tensor:
        """The weights of labels of any shape."""
        self._table = self._table.to(labels.device)
        return self._table[self.bins.index(labels)]

    @property
    def table(self) -> NDArray[np.float64]:
        """The weights by bin (m,), lowest label first."""
        return np.asarray(self._table.double().cpu().numpy())
