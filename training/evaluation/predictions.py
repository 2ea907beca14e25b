"""The answers of a bundle for the test split, beside the truth. They stay with the run: no bundle holds them."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka import Estimator
from ecg_ka.estimate import Band, SevereBand
from ecg_ka.estimator import THRESHOLDS
from ecg_ka.preprocess import ModelInput
from ecg_ka.scoring.progress import Progress
from ecg_ka.uncertainty import Calibration, Pairs
from training.answers import Answers, answers_for
from training.cohort import Cohort
from training.evaluation import source
from training.files import write_atomically
from training.metrics import Floats

_CHUNK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Of n ECGs, one a patient: ``rows`` of the cohort, ``patients`` as numbers without a meaning, ``pairs`` as the
    network gives them, ``answers`` as the calibration makes them, covariates by name.

    ``novelty`` (n,), high for ECGs unlike those of the training, is None where a bundle does not tell it.
    """

    rows: NDArray[np.int64]
    patients: NDArray[np.int64]
    pairs: Pairs
    answers: Answers
    covariates: dict[str, NDArray[Any]]
    novelty: Floats | None = None

    def __post_init__(self) -> None:
        if len(np.unique(self.patients)) != len(self.patients):
            raise ValueError("a patient has several ECGs; intervals of shares take one a patient")

    @property
    def labels(self) -> Floats:
        """Potassium (n,) by the laboratory."""
        return self.pairs.labels

    @property
    def estimates(self) -> Floats:
        """Estimates (n,) of the network."""
        return self.pairs.estimates

    def doubts(self) -> dict[str, Floats]:
        """What answers can be kept or dropped by, (n,) each, high for doubtful ones."""
        ends = self.answers.intervals
        known = {} if self.novelty is None else {"novelty": self.novelty}
        return {"width of the interval": ends[:, 1] - ends[:, 0], "spread of the network": self.pairs.spreads, **known}


def predict(estimator: Estimator, cohort: Cohort) -> Predictions:
    """Run the graph that is served over the test split, ECG by ECG as serving does.

    Raises:
        ValueError: the cohort has no test patients, or was made with another signal path than the bundle's.
    """
    rows, calibration = source.test_rows(cohort), estimator.bundle.calibration
    if source.signal_sha256(cohort) != estimator.bundle.signal.sha256:
        raise ValueError(
            f"the cohort was made with the signal path {source.signal_sha256(cohort)[:12]}, the bundle takes "
            f"{estimator.bundle.signal.sha256[:12]}; make the cohort again with this version"
        )
    outputs = _outputs(estimator, cohort, rows)
    pairs = Pairs(outputs[:, 0], outputs[:, 1], cohort.labels(rows))
    made = joined(rows, source.patients(cohort, rows), pairs, calibration, source.covariates(cohort, rows))
    return replace(made, novelty=outputs[:, 2])


def joined(
    rows: NDArray[np.int64],
    patients: NDArray[np.int64],
    pairs: Pairs,
    calibration: Calibration,
    covariates: dict[str, NDArray[Any]],
) -> Predictions:
    """Predictions from what the network gave."""
    return Predictions(rows, patients, pairs, answers_for(pairs, calibration), covariates)


def _outputs(estimator: Estimator, cohort: Cohort, rows: NDArray[np.int64]) -> Floats:
    """Estimate, spread and novelty (n, 3)."""
    progress = Progress("estimating", len(rows))
    outputs: list[tuple[float, float, float]] = []
    for start in range(0, len(rows), _CHUNK):
        outputs += [_output(estimator, signal_mv) for signal_mv in cohort.signal_mv(rows[start : start + _CHUNK])]
        progress.step(len(rows[start : start + _CHUNK]))
    return np.array(outputs)


def _output(estimator: Estimator, signal_mv: NDArray[np.float32]) -> tuple[float, float, float]:
    given = _input(signal_mv)
    found = estimator.outputs(given)
    return found.potassium_mmol_l, found.spread_mmol_l, estimator.novelty(given, found).distance


def _input(signal_mv: NDArray[np.float32]) -> ModelInput:
    return ModelInput(signal_mv=signal_mv, lead_mask=(signal_mv != 0).any(axis=1), flags=frozenset())


def probability_name(comparator: str, threshold_mmol_l: float) -> str:
    """Column of one of :data:`THRESHOLDS`, such as ``p_at_least_5_5``."""
    kind = "at_least" if comparator == ">=" else "below"
    return f"p_{kind}_{threshold_mmol_l:.1f}".replace(".", "_")


def write_predictions(predictions: Predictions, path: Path) -> None:
    """One row an ECG as Parquet; covariates keep their names, behind ``covariate_``."""
    import polars as pl

    a, pairs = predictions.answers, predictions.pairs
    columns: dict[str, NDArray[Any]] = {
        "row": predictions.rows,
        "patient": predictions.patients,
        "potassium_mmol_l": pairs.labels,
        "estimate_mmol_l": pairs.estimates,
        "median_mmol_l": a.medians,
        "spread_mmol_l": pairs.spreads,
        "lower_mmol_l": a.intervals[:, 0],
        "upper_mmol_l": a.intervals[:, 1],
        "label_conditional_lower_mmol_l": a.intervals_label_conditional[:, 0],
        "label_conditional_upper_mmol_l": a.intervals_label_conditional[:, 1],
        **{probability_name(*t): a.probabilities[:, i] for i, t in enumerate(THRESHOLDS)},
        **{f"band_{band}": a.bands[:, i] for i, band in enumerate(Band)},
        **{f"severe_band_{band}": a.severe_bands[:, i] for i, band in enumerate(SevereBand)},
        "category": a.categories,
        **({} if predictions.novelty is None else {"novelty": predictions.novelty}),
        **{f"covariate_{name}": column for name, column in predictions.covariates.items()},
    }
    buffer = io.BytesIO()
    pl.DataFrame({name: pl.Series(name, column) for name, column in columns.items()}).write_parquet(buffer)
    write_atomically(path, buffer.getvalue())
