"""One prior and seed of a comparison: its cohort, its networks, and what every method makes of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from statistics import fmean

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ecg_ka.network import PotassiumNet
from ecg_ka.simulator import Prior
from training.augment import Augmentation, Strength, augmentation_for
from training.cohort import Cohort, Split, at_half_rate
from training.cohort.simulated import build
from training.comparison.cells import Cell, CellKey, Outcome, cached, digest
from training.comparison.methods import Method, Network, Stage
from training.comparison.plan import NETWORK, CompareConfig
from training.devices import device_named
from training.files import write_atomically
from training.metrics import Floats, quantile_map, stretched
from training.objective import Objective, ObjectiveConfig, make_objective
from training.trainer import (
    HeadTrainer,
    Trainer,
    WholeTrainer,
    embed,
    estimates_from,
    stored_features,
)

TESTED = (Split.CALIBRATION, Split.TEST)


@dataclass(frozen=True, slots=True, eq=False)
class Backbone:
    """A network, and features (n, E) of the ECGs of a site; training ECGs are there as they are and augmented."""

    network: PotassiumNet
    features: dict[Split, Tensor]
    seconds_per_step: float

    def estimates(self, split: Split) -> Floats:
        """Of the calibration or test split, (n,) in mmol/L."""
        return estimates_from(self.network, self.features[split])


class Site:
    """Cohort and networks are made when the first cell that needs them is; all of it is kept on disk."""

    def __init__(self, config: CompareConfig, prior: Prior, seed: int) -> None:
        self.config, self.prior, self.seed = config, prior, seed
        self.device = device_named(config.device)

    def key(self, method: Method) -> CellKey:
        """Where the cell of a method belongs."""
        about = self.config.about_site(self.prior, self.seed)
        about |= {"stage": method.stage.value, "objective": asdict(method.objective)}
        about |= {"networks": [asdict(network) for network in method.networks]}
        if method.stage in (Stage.HEAD, Stage.QUANTILE_MAP):
            about["head"] = asdict(self.config.head(self.seed))
        return CellKey(self.prior.value, self.seed, method.name, about)

    def has(self, method: Method) -> bool:
        """Its cell is on disk."""
        return self.key(method).path(self.config.cells).is_file()

    def cell(self, method: Method) -> Cell:
        """From its file, or computed."""
        return cached(self.config.cells, self.key(method), lambda: self._compute(method))

    def build_cohorts(self, networks: Sequence[Network]) -> None:
        """Simulate what is not on disk yet: the cohort, and those that enriched networks are trained on."""
        for prior in {self.prior} | {network.enriched or self.prior for network in networks}:
            config = self.config.cohort(prior, self.seed)
            if not (config.out / "cohort.json").is_file():
                build(config)

    def _compute(self, method: Method) -> Outcome:
        match method.stage:
            case Stage.BACKBONE | Stage.END_TO_END:
                trained = self._trained(method.networks[0])
                return Outcome(self._labels(Split.TEST), trained.estimates(Split.TEST), trained.seconds_per_step)
            case Stage.HEAD:
                head, seconds = self._with_head(method)
                return Outcome(self._labels(Split.TEST), head.estimates(Split.TEST), seconds)
            case Stage.QUANTILE_MAP:
                return Outcome(self._labels(Split.TEST), quantile_map(*self._free(method)), None)
            case Stage.STRETCH:
                return Outcome(self._labels(Split.TEST), stretched(*self._free(method)), None)

    def _labels(self, split: Split) -> Floats:
        cohort = Cohort.open(self.config.cohort(self.prior, self.seed).out)
        return cohort.labels(cohort.rows(split))

    def _free(self, method: Method) -> tuple[Floats, Floats, Floats]:
        """What a mapping is applied to, and what it is fitted on: never the test split."""
        is_one = len(method.networks) == 1
        source = self._trained(method.networks[0]) if is_one else self._with_head(method)[0]
        return source.estimates(Split.TEST), source.estimates(Split.CALIBRATION), self._labels(Split.TRAIN)

    def _with_head(self, method: Method) -> tuple[Backbone, float]:
        """The features of a method's networks with a head retrained on them, and seconds a step."""
        b = self._joined([self._trained(network) for network in method.networks])
        labels = torch.from_numpy(self._labels(Split.TRAIN)).float().repeat(2)
        goal = _goal(method.objective, self._labels(Split.TRAIN), b.network)
        seconds = _train(HeadTrainer(self.config.head(self.seed), b.network, goal, b.features[Split.TRAIN], labels))
        return b, seconds

    def _joined(self, backbones: list[Backbone]) -> Backbone:
        """One backbone with a copy of its head, from which training goes on; of several, their features side by side
        and a new head."""
        first = backbones[0]
        if len(backbones) == 1:
            return replace(first, network=copy.deepcopy(first.network))
        features = {s: torch.cat([b.features[s] for b in backbones], dim=1) for s in first.features}
        torch.manual_seed(self.seed)
        *narrow, last = NETWORK.channels
        network = PotassiumNet(replace(NETWORK, channels=(*narrow, last * len(backbones)))).to(self.device)
        return Backbone(network.eval(), features, float("nan"))

    @cached_property
    def cohort(self) -> Cohort:
        """At 125 Hz, in memory."""
        return self._opened(self.prior)

    def _opened(self, prior: Prior) -> Cohort:
        return at_half_rate(Cohort.open(self.config.cohort(prior, self.seed).out))

    def _trained(self, network: Network) -> Backbone:
        """From its file, or trained."""
        about = self.config.about_site(self.prior, self.seed) | {"trained": asdict(network)}
        path = self.config.out / "networks" / f"{self.prior}-{self.seed}-{network.name}-{digest(about)}.safetensors"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, save(self._train(network)))
        net = PotassiumNet(NETWORK)
        try:
            tensors = load_file(path)
            net.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
            features = {split: tensors[split] for split in (Split.TRAIN, *TESTED)}
            seconds = float(tensors["seconds_per_step"])
        except (SafetensorError, KeyError, RuntimeError) as error:  # cut short, without a tensor, or of another network
            raise ValueError(f"{path} is damaged ({error}); delete it, and the network is trained again") from None
        return Backbone(net.to(self.device).eval(), features, seconds)

    def _train(self, network: Network) -> dict[str, Tensor]:
        cohort = self.cohort if network.enriched is None else self._opened(network.enriched)
        torch.manual_seed(self.seed)
        net = PotassiumNet(NETWORK).to(self.device)
        goal = _goal(network.objective, cohort.labels(cohort.rows(Split.TRAIN)), net)
        augment = _augmentation(cohort)
        seconds = _train(WholeTrainer(self.config.whole(self.seed), net, goal, cohort, augment))
        tensors = {f"network.{name}": value.cpu().contiguous() for name, value in net.state_dict().items()}
        tensors["seconds_per_step"] = torch.tensor(seconds)
        tensors[Split.TRAIN.value] = stored_features(net, self.cohort, augment, self.seed)[0]
        return tensors | {split.value: embed(net, self.cohort, self.cohort.rows(split)) for split in TESTED}


def _goal(objective: ObjectiveConfig, labels: Floats, network: PotassiumNet) -> Objective:
    return make_objective(objective, labels, network.n_features, spread=False)


def _augmentation(cohort: Cohort) -> Augmentation:
    return augmentation_for(cohort.about["signal"]["leads"], Strength.LIGHT)


def _train(trainer: Trainer) -> float:
    """All epochs: no choice of the best, so nothing is fitted on the side. Returns seconds a step."""
    epochs = list(trainer.epochs())
    return fmean(epoch.seconds / epoch.n_steps for epoch in epochs)
