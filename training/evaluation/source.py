"""All that an evaluation asks of a cohort, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.cohort import POTASSIUM, Cohort, Split

_NO_COVARIATES = ("patient", "split", POTASSIUM.name, "ecg_time", "lab_time", "ecg_sha256")


@dataclass(frozen=True, slots=True)
class Count:
    """How many are left after a step, and of what."""

    step: str
    left: int


def test_rows(cohort: Cohort) -> NDArray[np.int64]:
    """Positions of the ECGs that an evaluation looks at: the first of each patient of the test split.

    Raises:
        ValueError: there is none, or the label is not potassium.
    """
    cohort.refuse_other_label()
    rows = cohort.first_rows(Split.TEST)
    if len(rows) == 0:
        raise ValueError("the cohort has no test patients; it is too small, or its splits leave none")
    return rows


def patients(cohort: Cohort, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whose each ECG is (n,), as numbers in the order of appearance that mean nothing outside of the run."""
    _, first, which = np.unique(cohort.index["patient"][rows], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[which].astype(np.int64)


def covariates(cohort: Cohort, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Every other column of the index (n,), by name."""
    return {name: column[rows] for name, column in cohort.index.items() if name not in _NO_COVARIATES}


def exclusions(cohort: Cohort) -> list[Count]:
    """What the builder of the cohort counted, from the first step to the last."""
    return [Count(str(step["step"]), int(step["left"])) for step in cohort.about["about"].get("steps", [])]


def splits(cohort: Cohort) -> dict[str, dict[str, int]]:
    """ECGs and patients of each split."""
    where, whose = cohort.index["split"], cohort.index["patient"]
    return {
        split.value: {
            "ecgs": int((where == split.value).sum()),
            "patients": len(np.unique(whose[where == split.value])),
        }
        for split in Split
    }


def described(cohort: Cohort) -> dict[str, Any]:
    """What the cohort says of itself: description, whether it is simulated, licence, specification and hashes."""
    about = cohort.about["about"]
    return {
        "description": str(about["description"]),
        "is_simulated": bool(about["is_simulated"]),
        "licence": about.get("licence"),
        "spec": about.get("spec", {}),
        "sha256": cohort.about["sha256"],
    }


def signal_sha256(cohort: Cohort) -> str:
    """Of the signal path that its model inputs went through."""
    return str(cohort.about["signal_sha256"])
