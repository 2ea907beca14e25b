"""What an evaluation is asked for beside bundle and cohort, and its numbers in plain types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.metrics_bootstrap import RESAMPLES


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """How sure and for which place."""

    prevalence: float | None = field(
        default=None, metadata={"help": "share of K >= 5.5 where the model would be used; that of the test split"}
    )
    prevalence_low: float | None = field(
        default=None, metadata={"help": "share of K < 3.5 where the model would be used; that of the test split"}
    )
    resamples: int = field(default=RESAMPLES, metadata={"help": "of the patients, for the intervals"})
    seed: int = field(default=1, metadata={"help": "of the resamples"})

    def __post_init__(self) -> None:
        for option, value in (("--prevalence", self.prevalence), ("--prevalence-low", self.prevalence_low)):
            if value is not None and not 0 < value < 1:
                raise ValueError(f"{option} {value:g}; expected a share between 0 and 1, such as 0.02")
        if self.resamples < 100:
            raise ValueError(f"--resamples {self.resamples}; expected at least 100 for an interval of 95 %")


def plain(value: object) -> Any:
    """Named tuples as objects, arrays as lists, what is not a number as None: JSON types all the way down."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
