"""Batches whose labels are spread as those of the whole training set."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from torch.utils.data import Sampler


class StratifiedBatchSampler(Sampler[list[int]]):
    """Batches of positions among the training labels (n,), each spread over the labels as all of them are.

    The labels, sorted, are cut into ``batch_size`` blocks of equal size, and every batch takes one at random from each
    block. So each batch holds its share of the rare labels (a share of 1/batch_size at either end, always), matches
    the quantiles that Dist Loss asks for, and needs no resampling: an epoch is every position once. One batch is
    smaller if it must be, and spread too. The order is another every epoch and repeats with the seed; set ``epoch`` to
    resume. For ``DataLoader(batch_sampler=...)``.

    Raises:
        ValueError: no labels, or a batch size below 1.
    """

    def __init__(self, labels: ArrayLike, batch_size: int, *, seed: int) -> None:
        self.labels = np.asarray(labels, dtype=np.float64).ravel()
        if self.labels.size == 0 or batch_size < 1:
            raise ValueError(f"{self.labels.size} labels in batches of {batch_size}; expected at least 1 of each")
        self.batch_size = min(batch_size, self.labels.size)
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.labels.size // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        self.epoch += 1
        order = np.lexsort([rng.random(self.labels.size), self.labels])  # equal labels in random order
        edges = np.arange(self.batch_size + 1) * self.labels.size // self.batch_size
        blocks = [rng.permutation(order[a:b]) for a, b in pairwise(edges)]
        for i in rng.permutation(len(self)):
            batch = np.array([block[i] for block in blocks if i < len(block)])
            yield rng.permutation(batch).tolist()
