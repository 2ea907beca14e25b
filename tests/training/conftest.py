"""What takes long to make and several files test: a report with its cohort, and a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecg_ka.bundle import SHIPPED
from training import compare, evaluate
from training.cohort.simulated import SimulatedConfig, build
from training.comparison.plan import CompareConfig
from training.evaluate import EvaluateConfig


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
    evaluate.run(EvaluateConfig(bundle=SHIPPED, cohort=cohort, out=out, resamples=100, prevalence=0.02))
    return out


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> CompareConfig:
    """Too few ECGs to learn anything, enough for every part to run."""
    out = tmp_path_factory.mktemp("compare")
    return CompareConfig(
        out=out,
        patients=260,
        seeds=1,
        epochs=1,
        batch_size=64,
        head_epochs=2,
        head_batch_size=128,
        workers=1,
    )


@pytest.fixture(scope="session")
def written(small: CompareConfig) -> str:
    """What it writes; as strict as it is meant to be, it writes nothing."""
    with pytest.raises(ValueError, match=r"AUROC .* at K >= 5.5; a comparison is published from"):
        compare.run(small)
    assert not list(small.out.glob("comparison*"))
    return compare.run(small, least_auroc=None).read_text()
