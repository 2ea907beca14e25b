"""A cohort and what an evaluation of the shipped bundle on it wrote, made once for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecg_ka.bundle import SHIPPED
from training.cohort.simulated import SimulatedConfig, build
from training.evaluate import EvaluateConfig, run


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ECGs each of 640 simulated patients."""
    folder = tmp_path_factory.mktemp("cohort") / "c"
    build(SimulatedConfig(out=folder, patients=640, visits=2, workers=1, seed=77))
    return folder


@pytest.fixture(scope="session")
def evaluated(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its report."""
    out = tmp_path_factory.mktemp("reports") / "r"
    run(EvaluateConfig(bundle=SHIPPED, cohort=cohort, out=out, resamples=100, prevalence=0.02))
    return out
