"""A simulated cohort, made by several processes.

    python -m training.cohort.simulated --out cohorts/demo --patients 128000

Everything made from it is marked simulated: its accuracy says nothing about patients.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import UnusableRecord
from ecg_ka.estimator import prepare
from ecg_ka.preprocess import SignalSpec
from ecg_ka.record import LEADS, EcgRecord, Source
from ecg_ka.simulator import FS_HZ, CohortSpec, Preset, Prior, simulate_batch
from training.cohort import to_steps
from training.cohort.writer import CohortWriter, Part
from training.config import execute, to_json
from training.progress import Progress, one_thread

SPLIT_KEY = "ecg_ka simulated cohort"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedConfig:
    """Simulate a cohort of 12-lead ECGs with potassium values."""

    out: Path = field(metadata={"help": "folder to write; must be new or empty"})
    patients: int = field(default=128_000, metadata={"help": "number of patients"})
    visits: int = field(default=1, metadata={"help": "ECGs a patient"})
    preset: Preset = field(default=Preset.PUBLISHED, metadata={"help": "size of the potassium effects"})
    prior: Prior = field(default=Prior.WIDE, metadata={"help": "distribution of potassium"})
    seed: int = field(default=1, metadata={"help": "same seed, same cohort"})
    ckd_link: bool = field(default=True, metadata={"help": "let kidney disease depend on potassium"})
    workers: int = field(default=os.cpu_count() or 1, metadata={"help": "processes"})


def main() -> None:
    """Entry point of ``python -m training.cohort.simulated``."""
    execute(SimulatedConfig, build)


def build(config: SimulatedConfig) -> None:
    """Simulate, preprocess and write a cohort.

    Raises:
        FileExistsError: the folder holds a cohort already.
    """
    spec = SignalSpec()
    cohort = CohortSpec(
        preset=config.preset,
        prior=config.prior,
        n_patients=config.patients,
        visits_per_patient=config.visits,
        seed=config.seed,
        ckd_link=config.ckd_link,
    )
    progress = Progress("simulating", config.patients * config.visits)
    with (
        CohortWriter(config.out, spec, SPLIT_KEY) as writer,
        get_context("spawn").Pool(config.workers, initializer=one_thread) as pool,
    ):
        for part in pool.imap(partial(make_part, cohort, spec), range(cohort.n_batches)):
            writer.add(part)
            progress.step(len(part.steps))
        writer.finish(_about(config))


def make_part(cohort: CohortSpec, spec: SignalSpec, batch_index: int) -> Part:
    """Simulate one batch and bring it into the form the network sees, through the same call as serving.

    Raises:
        UnusableRecord: never for a simulated ECG; it would be a fault of the simulator.
    """
    batch = simulate_batch(cohort, batch_index)
    source = Source(format="simulated", sha256="", units_in="mV")
    try:
        inputs = [
            prepare(EcgRecord(signal_mv=signal, leads=LEADS, fs_hz=FS_HZ, source=source), spec).signal_mv
            for signal in batch.signal_mv
        ]
    except UnusableRecord as error:
        raise RuntimeError(f"the simulator made an unusable ECG in batch {batch_index}: {error}") from error
    columns: dict[str, NDArray[Any]] = {
        "patient": batch.patient_id,
        "potassium_mmol_l": batch.potassium_mmol_l.astype(np.float32),
        **batch.covariates,
    }
    return Part(to_steps(np.stack(inputs)), columns)


def _about(config: SimulatedConfig) -> dict[str, Any]:
    spec = {key: value for key, value in to_json(config).items() if key not in ("out", "workers")}
    return {
        "is_simulated": True,
        "description": f'simulated ("{config.preset}" potassium effects, prior "{config.prior}", seed {config.seed})',
        "spec": spec,
    }


if __name__ == "__main__":
    main()
