"""How far an ECG lies from those that the network was trained on, and how rare that is.

One Mahalanobis distance (Lee et al., NeurIPS 2018, without classes) over the peaks of the network's features, the
largest value over time of every second one, and the :mod:`~ecg_ka.uncertainty.fingerprint` of the input. Its p-value is
conformal (Vovk et al. 2005): exact when the ECG is exchangeable with the calibration ECGs. What is kept are mean and
covariance of many patients and sorted scores: of no ECG is anything told.

docs/uncertainty.md has what else was tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import Novelty
from ecg_ka.uncertainty.fingerprint import Fingerprint
from ecg_ka.uncertainty.scores import Scores, ascending

_SHRINK = 0.01
"""Weight of the identity in the correlations; between 0.003 and 0.1 little changes."""

_USUAL = 0.95
_LARGEST = float(np.finfo(np.float32).max)

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class NoveltyModel:
    """What the training ECGs look like: ``mean`` and ``scale`` (k,) and shrunk ``correlation`` (k, k) of peaks and
    fingerprint; ``usual`` (1,), the mean square distance that 95 % of the training ECGs stay below; ``scores`` (n,),
    the sorted novelty of the calibration ECGs."""

    mean: Singles
    scale: Singles
    correlation: Singles
    usual: Singles
    scores: Scores

    def __post_init__(self) -> None:
        k = self.mean.size
        shapes = {"mean": (k,), "scale": (k,), "correlation": (k, k), "usual": (1,)}
        for name, shape in shapes.items():
            found = getattr(self, name)
            if found.shape != shape or found.dtype != np.float32 or not np.isfinite(found).all():
                raise ValueError(f"novelty: {name} is not finite float32 of shape {shape}")
        if not ((self.scale > 0).all() and (self.usual > 0).all()):
            raise ValueError("novelty: a scale or the usual distance is not above 0")
        if not _is_correlation(self.correlation):
            raise ValueError("novelty: correlation is not symmetric and positive definite")
        ascending("novelty", self.scores)

    @classmethod
    def fit(
        cls,
        peaks: Singles,
        fingerprints: Sequence[Fingerprint],
        calibration: tuple[Singles, Sequence[Fingerprint]],
    ) -> NoveltyModel:
        """From peaks (n, E / 4) and fingerprints of training ECGs and the same of the calibration ECGs."""
        values = np.concatenate([peaks, np.stack([f.values for f in fingerprints])], axis=1, dtype=np.float64)
        mean, scale, correlation = (part.astype(np.float32) for part in _moments(values))
        none = np.empty(0, dtype=np.float32)
        made = cls(mean, scale, correlation, np.ones(1, dtype=np.float32), none)
        usual = np.quantile([made.distance(*pair) for pair in zip(peaks, fingerprints, strict=True)], _USUAL)
        return cls(mean, scale, correlation, np.array([usual], dtype=np.float32), none).calibrated(*calibration)

    def calibrated(self, peaks: Singles, fingerprints: Sequence[Fingerprint]) -> NoveltyModel:
        """The same distance with the scores of other calibration ECGs."""
        scores = [self.distance(*pair) for pair in zip(peaks, fingerprints, strict=True)]
        return replace(self, scores=np.sort(np.array(scores, dtype=np.float32)))

    def distance(self, peaks: Singles, found: Fingerprint) -> float:
        """Mean square distance of the peaks (E / 4,) and what is known of the input, in units of the usual one."""
        precision, n_known = _precision(self, found.known.tobytes())
        z = (np.concatenate([peaks, found.values]) - self.mean) / self.scale
        return float(z @ (precision @ z)) / n_known / float(self.usual[0])

    def novelty(self, peaks: Singles, found: Fingerprint) -> Novelty:
        """Distance, and the share of calibration ECGs, this one counted, that lie at least as far."""
        distance = np.float32(min(self.distance(peaks, found), _LARGEST))
        farther = len(self.scores) - int(self.scores.searchsorted(distance))
        return Novelty(distance=float(distance), p_value=(farther + 1) / (len(self.scores) + 1))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Singles]) -> NoveltyModel:
        """What :meth:`to_arrays` gave.

        Raises:
            ValueError: an array is missing, unknown or malformed.
        """
        expected = set(cls.__slots__)
        if set(arrays) != expected:
            raise ValueError(f"missing {sorted(expected - set(arrays))}, unknown {sorted(set(arrays) - expected)}")
        return cls(**arrays)

    def to_arrays(self) -> dict[str, Singles]:
        """By the names of the fields."""
        return {name: getattr(self, name) for name in self.__slots__}


@lru_cache(maxsize=64)
def _precision(model: NoveltyModel, known: bytes) -> tuple[Singles, int]:
    """The inverse (k, k) of the correlation of the peaks and what is known of the input, zero elsewhere, and how
    many numbers that are; there are few combinations of leads. In single precision, because the network has pushed it
    out of the cache and reading it takes longer than multiplying."""
    of_input = np.frombuffer(known, dtype=np.bool_)
    n_peaks = model.mean.size - of_input.size
    there = np.concatenate([np.arange(n_peaks), n_peaks + np.flatnonzero(of_input)])
    precision = np.zeros(model.correlation.shape, dtype=np.float32)
    square = np.ix_(there, there)
    precision[square] = np.linalg.inv(model.correlation[square].astype(np.float64))
    return precision, there.size


def _is_correlation(matrix: Singles) -> bool:
    """Whether every part of it can be inverted, so that no distance is below 0."""
    try:
        np.linalg.cholesky(matrix.astype(np.float64))
    except np.linalg.LinAlgError:
        return False
    return bool((matrix == matrix.T).all())


def _moments(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Mean (k,), standard deviation (k,) and shrunk correlation (k, k) of (n, k)."""
    mean, scale = values.mean(axis=0), values.std(axis=0) + 1e-6
    z = (values - mean) / scale
    return mean, scale, (1 - _SHRINK) * (z.T @ z) / len(z) + _SHRINK * np.eye(len(mean))
