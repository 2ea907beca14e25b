"""How a comparison is made: one configuration, and the schedules that follow from it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ecg_ka.network import NetworkConfig
from ecg_ka.simulator import Preset, Prior
from training import objective
from training.cohort.simulated import SimulatedConfig
from training.config import to_json
from training.trainer import Schedule

EDITION = 2  # raise it when code changes what a cell holds: no older cell is then taken for a new one

NETWORK = NetworkConfig(
    stem_channels=24, stem_kernel=16, stem_stride=4, channels=(32, 48, 64, 96), head_width=64
)  # 0.18 M parameters, at 125 Hz

PRIORS = (Prior.WIDE, Prior.HOSPITAL)
WHOLE_PRIOR = Prior.WIDE  # of tier 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig:
    """Compare losses for rare labels on simulated cohorts. A run that was killed goes on where it was."""

    out: Path = field(metadata={"help": "run folder; finished cells in it are kept"})
    preset: Preset = field(default=Preset.PUBLISHED, metadata={"help": "size of the potassium effects"})
    patients: int = field(default=21_500, metadata={"help": "patients a cohort, one ECG each, 77 % for training"})
    seeds: int = field(default=3, metadata={"help": "cohorts and networks a prior"})
    epochs: int = field(default=10, metadata={"help": "end to end"})
    batch_size: int = field(default=128, metadata={"help": "ECGs a step, end to end"})
    learning_rate: float = field(default=2e-3, metadata={"help": "peak, end to end"})
    head_epochs: int = field(default=12, metadata={"help": "of a head"})
    head_batch_size: int = field(default=2048, metadata={"help": "ECGs a step of a head"})
    head_learning_rate: float = field(default=1e-3, metadata={"help": "peak, of a head"})
    bf16: bool = field(default=True, metadata={"help": "bfloat16 autocast in the convolutions, where the device can"})
    device: str = field(default="auto", metadata={"help": "cpu, cuda, or auto"})
    workers: int = field(default=os.cpu_count() or 1, metadata={"help": "processes of one thread each"})

    @property
    def cells(self) -> Path:
        """Folder of the finished cells."""
        return self.out / "cells"

    def cohort(self, prior: Prior, seed: int) -> SimulatedConfig:
        """The cohort of a prior and seed, in a folder that says all that makes it another one."""
        name = f"{self.preset}-{prior}-{seed}-{self.patients}"
        return SimulatedConfig(
            out=self.out / "cohorts" / name,
            patients=self.patients,
            preset=self.preset,
            prior=prior,
            seed=seed,
            workers=self.workers,
        )

    def whole(self, seed: int) -> Schedule:
        """End to end."""
        return Schedule(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=seed,
            bf16=self.bf16,
        )

    def head(self, seed: int) -> Schedule:
        """Of a head on stored features."""
        return Schedule(
            epochs=self.head_epochs,
            batch_size=self.head_batch_size,
            learning_rate=self.head_learning_rate,
            seed=seed,
            bf16=self.bf16,
        )

    def about_site(self, prior: Prior, seed: int) -> dict[str, Any]:
        """All that decides what a network of a prior and seed becomes, but for its objective, in plain JSON types."""
        cohort = to_json(self.cohort(prior, seed))
        return {
            "edition": EDITION,
            "cohort": {key: value for key, value in cohort.items() if key not in ("out", "workers")},
            "network": asdict(NETWORK),
            "whole": asdict(self.whole(seed)),
            "constants": {k: v for k, v in vars(objective).items() if k.isupper() and isinstance(v, int | float)},
        }
