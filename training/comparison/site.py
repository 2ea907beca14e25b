"""One prior and seed of a comparison: its cohort, its L1 backbone, and what every method makes of them."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import fmean

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ecg_ka.network import PotassiumNet
from ecg_ka.simulator import Prior
from training.augment import Augmentation, Strength, augmentation_for
from training.cohort import Cohort, Split, at_half_rate
from training.cohort.simulated import build
from training.comparison.cells import Cell, CellKey, Outcome, cached, digest
from training.comparison.methods import BACKBONE, Method, Stage
from training.comparison.plan import NETWORK, CompareConfig
from training.files import write_atomically
from training.metrics import Floats, quantile_map, stretched
from training.objective import ObjectiveConfig, make_objective
from training.trainer import (
    HeadTrainer,
    Trainer,
    WholeTrainer,
    device_named,
    embed,
    estimates_from,
    stored_features,
)


@dataclass(frozen=True, slots=True, eq=False)
class Backbone:
    """A trained network, the features that it gives, and their labels."""

    network: PotassiumNet
    tensors: dict[str, Tensor]  # train, calibration, test (n, E), each with ..._labels (n,); seconds_per_step ()

    def estimates(self, split: Split) -> Floats:
        """Of the calibration or test split, (n,) in mmol/L."""
        return estimates_from(self.network, self.tensors[split])

    def labels(self, split: Split) -> Floats:
        """Of a split, (n,) in mmol/L."""
        return self.tensors[f"{split}_labels"].double().numpy()


class Site:
    """Cohort and backbone are made when the first cell that needs them is; all of it is kept on disk."""

    def __init__(self, config: CompareConfig, prior: Prior, seed: int) -> None:
        self.config, self.prior, self.seed = config, prior, seed
        self.device = device_named(config.device)

    def cell(self, method: Method) -> Cell:
        """From its file, or computed."""
        about = self.config.about_backbone(self.prior, self.seed)
        about |= {"stage": method.stage.value, "objective": asdict(method.objective)}
        if method.stage is Stage.HEAD:
            about["head"] = asdict(self.config.head(self.seed))
        key = CellKey(self.prior.value, self.seed, method.name, about)
        return cached(self.config.out / "cells", key, lambda: self._compute(method))

    def _compute(self, method: Method) -> Outcome:
        match method.stage:
            case Stage.BACKBONE:
                seconds = float(self.backbone.tensors["seconds_per_step"])
                return Outcome(self._test_labels(), self.backbone.estimates(Split.TEST), seconds)
            case Stage.HEAD:
                return self._head(method.objective)
            case Stage.END_TO_END:
                network, seconds = self._whole(method.objective)
                features = embed(network, self.cohort, self.cohort.rows(Split.TEST))
                return Outcome(
                    self.cohort.labels(self.cohort.rows(Split.TEST)), estimates_from(network, features), seconds
                )
            case Stage.QUANTILE_MAP:
                return Outcome(self._test_labels(), quantile_map(*self._free()), None)
            case Stage.STRETCH:
                return Outcome(self._test_labels(), stretched(*self._free()), None)

    def _test_labels(self) -> Floats:
        return self.backbone.labels(Split.TEST)

    def _free(self) -> tuple[Floats, Floats, Floats]:
        """What a mapping is applied to, and what it is fitted on: never the test split."""
        b = self.backbone
        return b.estimates(Split.TEST), b.estimates(Split.CALIBRATION), b.labels(Split.TRAIN)

    def _head(self, objective: ObjectiveConfig) -> Outcome:
        """A copy of the backbone's head, trained on from there."""
        network, b = copy.deepcopy(self.backbone.network), self.backbone
        goal = make_objective(objective, b.labels(Split.TRAIN), network.n_features, spread=False)
        stored, labels = b.tensors[Split.TRAIN], b.tensors[f"{Split.TRAIN}_labels"]
        seconds = _train(HeadTrainer(self.config.head(self.seed), network, goal, stored, labels))
        return Outcome(self._test_labels(), estimates_from(network, b.tensors[Split.TEST]), seconds)

    def _whole(self, objective: ObjectiveConfig) -> tuple[PotassiumNet, float]:
        torch.manual_seed(self.seed)
        network = PotassiumNet(NETWORK).to(self.device)
        goal = make_objective(
            objective, self.cohort.labels(self.cohort.rows(Split.TRAIN)), network.n_features, spread=False
        )
        trainer = WholeTrainer(self.config.whole(self.seed), network, goal, self.cohort, self._augment)
        return network, _train(trainer)

    @cached_property
    def cohort(self) -> Cohort:
        """At 125 Hz, in memory; simulated if it is not on disk yet."""
        config = self.config.cohort(self.prior, self.seed)
        if not (config.out / "cohort.json").is_file():
            build(config)
        return at_half_rate(Cohort.open(config.out))

    @property
    def _augment(self) -> Augmentation:
        return augmentation_for(self.cohort.about["signal"]["leads"], Strength.LIGHT)

    @cached_property
    def backbone(self) -> Backbone:
        """The L1 network, from its file or trained."""
        stem = f"{self.prior}-{self.seed}-{digest(self.config.about_backbone(self.prior, self.seed))}"
        path = self.config.out / "backbones" / f"{stem}.safetensors"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, save(self._train_backbone()))
        tensors = load_file(path)
        network = PotassiumNet(NETWORK)
        network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
        return Backbone(network.to(self.device).eval(), tensors)

    def _train_backbone(self) -> dict[str, Tensor]:
        network, seconds = self._whole(BACKBONE.objective)
        stored, labels = stored_features(network, self.cohort, self._augment, self.seed)
        tensors = {f"network.{name}": value.cpu().contiguous() for name, value in network.state_dict().items()}
        tensors |= {Split.TRAIN.value: stored, f"{Split.TRAIN}_labels": labels}
        tensors["seconds_per_step"] = torch.tensor(seconds)
        for split in (Split.CALIBRATION, Split.TEST):
            tensors[split.value] = embed(network, self.cohort, self.cohort.rows(split))
            tensors[f"{split}_labels"] = torch.from_numpy(self.cohort.labels(self.cohort.rows(split)))
        return tensors


def _train(trainer: Trainer) -> float:
    """All epochs: no choice of the best, so nothing is fitted on the side. Returns seconds a step."""
    epochs = list(trainer.epochs())
    return fmean(epoch.seconds / epoch.n_steps for epoch in epochs)
