"""A simulated cohort, made by several processes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ecg_ka.errors import UnusableRecord
from ecg_ka.estimator import choose_window
from ecg_ka.preprocess import SignalSpec, to_model_input
from ecg_ka.quality import grade
from ecg_ka.scoring.progress import Progress
from ecg_ka.simulator import CohortSpec, Preset, Prior, as_record, simulate_batch
from ecg_ka.simulator.conditions import Repolarisation
from ecg_ka.simulator.geometry import Reversal
from ecg_ka.simulator.kernels import QrsKind
from training.cohort import POTASSIUM, to_steps
from training.cohort.journal import Part
from training.cohort.splits import hashed_splits
from training.cohort.workers import ordered
from training.cohort.writer import Target
from training.config import to_json

SPLIT_KEY = "ecg_ka simulated cohort"

_CODES = {"qrs_kind": QrsKind, "repolarisation": Repolarisation, "reversal": Reversal}
"""Covariates that are numbers in the simulator and names in a cohort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedConfig:
    """Simulate a cohort of 12-lead ECGs with potassium values.

        python -m training.cohort simulated --out cohorts/demo --patients 128000

    Everything made from it is marked simulated: its accuracy says nothing about patients.
    """

    out: Path = field(metadata={"help": "folder to write; new, empty, or begun by the same command"})
    patients: int = field(default=128_000, metadata={"help": "number of patients"})
    visits: int = field(default=1, metadata={"help": "ECGs a patient"})
    preset: Preset = field(default=Preset.PUBLISHED, metadata={"help": "size of the potassium effects"})
    prior: Prior = field(default=Prior.WIDE, metadata={"help": "distribution of potassium"})
    seed: int = field(default=1, metadata={"help": "same seed, same cohort"})
    ckd_link: bool = field(default=True, metadata={"help": "let kidney disease depend on potassium"})
    workers: int = field(default=os.cpu_count() or 1, metadata={"help": "processes"})

    def __post_init__(self) -> None:
        if self.patients < 1 or self.visits < 1:
            raise ValueError(f"{self.patients} patients with {self.visits} visits; expected at least one of each")


def build(config: SimulatedConfig) -> None:
    """Simulate, preprocess and write a cohort.

    Raises:
        FileExistsError: the folder holds something else already.
    """
    import polars as pl

    cohort = CohortSpec(
        preset=config.preset,
        prior=config.prior,
        n_patients=config.patients,
        visits_per_patient=config.visits,
        seed=config.seed,
        ckd_link=config.ckd_link,
    )
    about = _about(config)
    target = Target(config.out, SignalSpec(), {"about": about})
    if target.is_finished():
        return
    with target.journal(config.patients * config.visits) as journal:
        progress = Progress("simulating", config.patients * config.visits, done=journal.n)
        batches = range(len(journal.done), cohort.n_batches)
        for part in ordered(partial(make_part, cohort, target.spec), batches, config.workers):
            journal.add(part)
            progress.step(len(part.steps))
        names = journal.done[0].facts
        index = pl.DataFrame({name: [*chain.from_iterable(d.facts[name] for d in journal.done)] for name in names})
        index = index.with_columns(split=hashed_splits(index["patient"], SPLIT_KEY))
        target.finish(journal, index, POTASSIUM, about)


def make_part(cohort: CohortSpec, spec: SignalSpec, batch_index: int) -> Part:
    """Simulate one batch and bring it into the form the network sees, through the same calls as serving.

    Raises:
        RuntimeError: an ECG cannot be used, which is a fault of the simulator.
    """
    batch = simulate_batch(cohort, batch_index)
    steps = np.empty((len(batch.signal_mv), len(spec.leads), spec.n_samples), dtype=np.int16)
    grades = []
    for row, signal_mv in enumerate(batch.signal_mv):
        window, _ = choose_window(as_record(signal_mv), spec)
        try:
            steps[row] = to_steps(to_model_input(window, spec).signal_mv)
        except UnusableRecord as error:
            raise RuntimeError(f"the simulator made an unusable ECG in batch {batch_index}: {error}") from error
        grades.append(grade(window).value)
    facts = {"patient": batch.patient_id, POTASSIUM.name: batch.potassium_mmol_l, **batch.covariates}
    listed: dict[str, list[Any]] = {name: values.tolist() for name, values in facts.items()}
    for name, codes in _CODES.items():
        listed[name] = [codes(value).name.replace("NORMAL", "USUAL") for value in listed[name]]
    return Part(steps, {**listed, "quality": grades}, [])


def _about(config: SimulatedConfig) -> dict[str, Any]:
    spec = {key: value for key, value in to_json(config).items() if key not in ("out", "workers")}
    return {
        "is_simulated": True,
        "description": f'simulated ("{config.preset}" potassium effects, prior "{config.prior}", seed {config.seed})',
        "licence": "made by a program; no patient's data",
        "spec": spec,
    }
