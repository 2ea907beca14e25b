"""A Gaussian mixture of the training labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]

_MAX_ITERATIONS = 500
_TOLERANCE = 1e-9  # of the mean log-likelihood


@dataclass(frozen=True, slots=True, eq=False)
class LabelMixture:
    """sum_k shares_k N(means_k, sds_k^2), each (k,), means and SDs in label units."""

    shares: Floats
    means: Floats
    sds: Floats

    @classmethod
    def fit(cls, labels: ArrayLike, *, components: int, min_sd: float) -> LabelMixture:
        """By expectation maximisation (Dempster 1977) from components at even quantiles of labels (n,).

        ``min_sd`` (label unit) keeps a component from shrinking onto one recorded value: take the step of the labels.

        Raises:
            ValueError: no finite labels, no components, or a least SD that is not positive.
        """
        values = np.asarray(labels, dtype=np.float64).ravel()
        if values.size == 0 or not np.isfinite(values).all() or components < 1 or not min_sd > 0:
            raise ValueError(f"{values.size} labels, {components} components, least SD {min_sd}; expected all positive")
        y, counts = np.unique(values, return_counts=True)
        means = np.quantile(values, (np.arange(components) + 0.5) / components)
        sds = np.full(components, max(float(values.std()) / components, min_sd))
        mixture, before = cls(np.full(components, 1 / components), means, sds), -np.inf
        for _ in range(_MAX_ITERATIONS):
            joint = mixture._log_joint(y)  # (m, k)
            total = logsumexp(joint, axis=1)
            likelihood = float(np.average(total, weights=counts))
            if likelihood - before < _TOLERANCE:
                break
            before = likelihood
            mixture = cls._of(y, np.exp(joint - total[:, None]) * counts[:, None], min_sd)
        return mixture

    @classmethod
    def _of(cls, y: Floats, belongs: Floats, min_sd: float) -> LabelMixture:
        """The maximisation step for labels (m,) that belong to the components by these amounts (m, k)."""
        mass = belongs.sum(axis=0) + np.finfo(np.float64).tiny
        means = y @ belongs / mass
        variances = ((y[:, None] - means) ** 2 * belongs).sum(axis=0) / mass
        return cls(mass / mass.sum(), means, np.maximum(np.sqrt(variances), min_sd))

    def density(self, y: ArrayLike) -> Floats:
        """Density per label unit at ``y`` (m,)."""
        return np.asarray(np.exp(logsumexp(self._log_joint(np.asarray(y, dtype=np.float64)), axis=1)))

    def _log_joint(self, y: Floats) -> Floats:
        z = (y[:, None] - self.means) / self.sds
        return np.asarray(np.log(self.shares) - z**2 / 2 - np.log(self.sds) - np.log(2 * np.pi) / 2)
