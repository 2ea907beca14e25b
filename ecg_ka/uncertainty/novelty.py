"""How far an ECG lies from those that the network was trained on, and how rare that is.

Two Mahalanobis distances: of the embedding (Lee et al., NeurIPS 2018, without classes), and of the
:mod:`~ecg_ka.uncertainty.fingerprint` of the input. Each is divided by what 95 % of the training ECGs stay below, and
the larger of the two is the novelty; its p-value is conformal (Vovk et al. 2005): exact when the ECG is exchangeable
with the calibration ECGs. What is kept are means and covariances of many patients and sorted scores: of no ECG is
anything told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import Novelty
from ecg_ka.uncertainty.fingerprint import Fingerprint
from ecg_ka.uncertainty.scores import Scores, ascending

_SHRINK_EMBEDDING, _SHRINK_INPUT = 0.01, 1e-3
"""Weight of the identity in the correlations: chosen among 0.001 to 0.3 by what is detected at 5 % false alarms."""

_USUAL = 0.95

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class NoveltyModel:
    """What the training ECGs look like: ``mean`` and ``scale`` (E,) and ``whitening`` (E, E) of the embedding,
    ``input_mean`` and ``input_scale`` (k,) and ``input_correlation`` (k, k) of the fingerprint; ``usual`` (2,), the mean
    square distances that 95 % of the training ECGs stay below; ``scores`` (n,), the sorted novelty of the calibration
    ECGs."""

    mean: Singles
    scale: Singles
    whitening: Singles
    input_mean: Singles
    input_scale: Singles
    input_correlation: Singles
    usual: Singles
    scores: Scores

    def __post_init__(self) -> None:
        e, k = self.mean.size, self.input_mean.size
        shapes = {"mean": (e,), "scale": (e,), "whitening": (e, e), "usual": (2,)}
        shapes |= {"input_mean": (k,), "input_scale": (k,), "input_correlation": (k, k)}
        for name, shape in shapes.items():
            found = getattr(self, name)
            if found.shape != shape or found.dtype != np.float32 or not np.isfinite(found).all():
                raise ValueError(f"novelty: {name} is not finite float32 of shape {shape}")
        if not ((self.scale > 0).all() and (self.input_scale > 0).all() and (self.usual > 0).all()):
            raise ValueError("novelty: a scale or usual distance is not above 0")
        ascending("novelty", self.scores)

    @classmethod
    def fit(
        cls, embeddings: Singles, fingerprints: Sequence[Fingerprint], calibration: tuple[Singles, Sequence[Fingerprint]]
    ) -> NoveltyModel:
        """From embeddings (n, E) and fingerprints of training ECGs and the same of the calibration ECGs."""
        mean, scale, correlation = _moments(embeddings.astype(np.float64), _SHRINK_EMBEDDING)
        whitening = np.linalg.inv(np.linalg.cholesky(correlation))
        inputs = _moments(np.stack([f.values for f in fingerprints]), _SHRINK_INPUT)
        parts = [part.astype(np.float32) for part in (mean, scale, whitening, *inputs)]
        usual = np.ones(2, dtype=np.float32)
        made = cls(*parts, usual=usual, scores=np.empty(0, dtype=np.float32))
        pairs = zip(embeddings, fingerprints, strict=True)
        usual = np.quantile([made.distances(*pair) for pair in pairs], _USUAL, axis=0).astype(np.float32)
        made = cls(*parts, usual=usual, scores=made.scores)
        scores = np.array([made.distance(*pair) for pair in zip(*calibration, strict=True)], dtype=np.float32)
        return cls(*parts, usual=usual, scores=np.sort(scores))

    def distances(self, embedding: Singles, found: Fingerprint) -> tuple[float, float]:
        """Mean square distances in units of a standard deviation: of the embedding (E,), and of what is known of the
        input."""
        white = self.whitening @ ((embedding - self.mean) / self.scale)
        z = ((found.values - self.input_mean) / self.input_scale)[found.known]
        correlation = self.input_correlation[np.ix_(found.known, found.known)].astype(np.float64)
        return float(white @ white) / white.size, float(z @ np.linalg.solve(correlation, z)) / max(1, z.size)

    def distance(self, embedding: Singles, found: Fingerprint) -> float:
        """The larger of the two, each in units of what 95 % of the training ECGs stay below."""
        of_embedding, of_input = self.distances(embedding, found)
        return max(of_embedding / float(self.usual[0]), of_input / float(self.usual[1]))

    def novelty(self, embedding: Singles, found: Fingerprint) -> Novelty:
        """Distance, and the share of calibration ECGs, this one counted, that lie at least as far."""
        distance = float(np.float32(self.distance(embedding, found)))
        farther = len(self.scores) - int(np.searchsorted(self.scores, np.float32(distance)))
        return Novelty(distance=distance, p_value=(farther + 1) / (len(self.scores) + 1))

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


def _moments(values: NDArray[np.float64], shrink: float) -> tuple[NDArray[np.float64], ...]:
    """Mean (k,), standard deviation (k,) and shrunk correlation (k, k) of (n, k)."""
    mean, scale = values.mean(axis=0), values.std(axis=0) + 1e-6
    z = (values - mean) / scale
    return mean, scale, (1 - shrink) * (z.T @ z) / len(z) + shrink * np.eye(len(mean))
