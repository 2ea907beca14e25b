"""What a run starts from: the network of another run, or of a bundle (to fine-tune it on a hospital's own ECGs)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load
from torch import Tensor

from ecg_ka.bundle import load_bundle
from ecg_ka.network import NetworkConfig, PotassiumNet
from training.checkpoint import FILE as CHECKPOINT
from training.cohort import splits_sha256_of
from training.run_folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parent:
    """``about`` says all there is to say about how it came about, and is kept with what is made of it."""

    network: NetworkConfig
    signal: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    about: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Parent:
        """From the folder of a finished run or of a bundle.

        Raises:
            FileNotFoundError: the folder is neither.
            ValueError: the run is not finished, or the bundle has several networks.
            BundleError: the bundle is damaged.
        """
        if (folder / "bundle.json").is_file():
            return cls._of_bundle(folder)
        if not (folder / "config.json").is_file() or not (folder / "weights.safetensors").is_file():
            raise FileNotFoundError(
                f"{folder} holds neither a run of training.train nor a bundle; name one with --init"
            )
        if (folder / CHECKPOINT).exists() and not RunFolder(folder).is_finished:
            raise ValueError(f"{folder} is not finished; give its command again first")
        return cls._of_run(folder)

    @classmethod
    def _of_bundle(cls, folder: Path) -> Parent:
        bundle = load_bundle(folder)
        if bundle.members > 1:
            raise ValueError(
                f"{folder} is an ensemble of {bundle.members} networks, and one is trained; name with --init a bundle "
                "of one network, or the run folder of a member"
            )
        p = bundle.provenance
        return cls(
            network=NetworkConfig.from_dict(bundle.network),
            signal=asdict(bundle.signal),
            weights=load(bundle.weights),
            about={
                "bundle": f"{p.name} {p.version}",
                "sha256": bundle.sha256,
                "licences": list(p.licences),
                **p.training,
            },
        )

    @classmethod
    def _of_run(cls, folder: Path) -> Parent:
        saved = json.loads((folder / "config.json").read_text())
        weights = (folder / "weights.safetensors").read_bytes()
        return cls(
            network=NetworkConfig.from_dict(saved["network"]),
            signal=saved["cohort"]["signal"],
            weights=load(weights),
            about={
                "config": saved["train"],
                "cohort": saved["cohort"].get("about", {}).get("description"),
                "weights_sha256": hashlib.sha256(weights).hexdigest(),
                "licences": list(licences_behind(saved)),
                "after": saved.get("after"),
                "splits_sha256": splits_sha256_of(saved["cohort"]),
            },
        )

    def refuse_other_signal(self, signal: Mapping[str, Any]) -> None:
        """Check that a cohort holds signals as the network was trained on.

        Raises:
            ValueError: leads, rate, filters or length differ; they are named.
        """
        ours, theirs = (json.loads(json.dumps(s)) for s in (self.signal, signal))
        differing = [f"{k} {ours.get(k)} there, {theirs.get(k)} here" for k in sorted({*ours, *theirs})
                     if ours.get(k) != theirs.get(k)]  # fmt: skip
        if differing:
            raise ValueError(f"--init was trained on signals unlike those of the cohort: {'; '.join(differing)}")

    def give_to(self, network: PotassiumNet) -> None:
        """Load the weights, strictly: shapes fit, because the network is made from :attr:`network`."""
        network.load_state_dict(dict(self.weights), strict=True)


def licences_behind(saved: Mapping[str, Any]) -> tuple[str, ...]:
    """From the config.json of a run: the terms of every cohort of patients that its weights saw, each once. Those of
    what it started from bind it too."""
    cohort = saved["cohort"].get("about", {})
    own = [] if cohort.get("is_simulated") else [str(cohort.get("licence", "not stated"))]
    return tuple(dict.fromkeys([*(saved.get("after") or {}).get("licences", []), *own]))
