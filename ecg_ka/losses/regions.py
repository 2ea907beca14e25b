"""Many-, median- and few-shot labels by Yang's counts, for tasks whose regions nobody has fixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_ka.losses.bins import LabelBins


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountRegions:
    """A label is many-shot if its bin holds more than ``many_above`` training labels, few-shot if fewer than
    ``few_below``, median-shot between (Yang et al., ICML 2021). The rule goes with the size of a data set; regions with
    fixed edges, as those of potassium, are not for this class.
    """

    bins: LabelBins
    few_below: int = 20
    many_above: int = 100

    def group(self, labels: ArrayLike) -> NDArray[np.int64]:
        """0 low few, 1 low median, 2 many, 3 high median, 4 high few, shaped as the input; low is below the most common
        label."""
        count = self.bins.count(labels)
        rarity = (count <= self.many_above).astype(np.int64) + (count < self.few_below)  # 0 many, 1 median, 2 few
        common = (self.bins.first + int(np.argmax(self.bins.counts))) * self.bins.width
        return np.asarray(2 + np.where(np.asarray(labels) < common, -rarity, rarity))
