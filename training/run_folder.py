"""The folder of a training run: what was asked for, on what it ran, how far it is, in words and for machines.

config.json             options, network, cohort and what the run started from: all that decides about the weights but
                        the device, whose kernels and precision differ
environment.json        one entry a start: when, versions, device and whether it has bfloat16, commit
README.txt              the same for a reader
history.json            every epoch
weights.safetensors     of the best epoch by balanced MAE on the validation split; its metrics in metrics.json
checkpoint.safetensors  where an unfinished run stands
finished.json           how it ended; there once it has
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.checkpoint import FILE as CHECKPOINT
from training.devices import in_bfloat16
from training.files import write_atomically

# Options that decide nothing about the weights. Cohort and parent are compared by what they are, not where they lie.
_FREE = frozenset({"out", "cohort", "init", "read_ahead", "read_threads", "checkpoint_steps", "tensorboard"})


class RunFolder:
    """A run that is new, or goes on with the same options."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_finished(self) -> bool:
        """Has this run ended?"""
        return (self.path / "finished.json").is_file()

    def metrics(self) -> dict[str, Any]:
        """Of the best epoch so far."""
        return dict(json.loads((self.path / "metrics.json").read_text()))

    def refuse_other(self, about: Mapping[str, Any]) -> None:
        """Check that the folder holds no run, or one that was begun with the same options.

        Raises:
            FileExistsError: it was begun with others; they are named.
        """
        config = self.path / "config.json"
        if not config.is_file():
            return
        there, here = _flat(json.loads(config.read_text())), _flat(json.loads(json.dumps(about)))
        differing = [f"{k} {there.get(k)!s:.60} there, {here.get(k)!s:.60} here" for k in sorted({*there, *here})
                     if there.get(k) != here.get(k)]  # fmt: skip
        if differing:
            raise FileExistsError(
                f"{self.path} holds a run with other options: {'; '.join(differing)}. "
                "Give the same ones to go on, or name another folder with --out"
            )

    def begin(self, about: Mapping[str, Any], start: Mapping[str, Any]) -> None:
        """Note a start. The configuration is written last: without it there is no run."""
        self.path.mkdir(parents=True, exist_ok=True)
        environments = self.path / "environment.json"
        starts = json.loads(environments.read_text()) if environments.is_file() else []
        write_atomically(environments, _json([*starts, start]))
        if not (self.path / "config.json").is_file():
            write_atomically(self.path / "README.txt", _in_words(about))
            write_atomically(self.path / "config.json", _json(about))

    def finish(self, how: Mapping[str, Any]) -> None:
        """Note the end; nothing goes on from here."""
        write_atomically(self.path / "finished.json", _json(how))
        (self.path / CHECKPOINT).unlink(missing_ok=True)


def environment(device: torch.device, n_ranks: int) -> dict[str, Any]:
    """On what a run runs."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "device": f"{device.type}: {name}",
        "device_has_bfloat16": in_bfloat16(device),
        "processes": n_ranks,
        "torch_threads": torch.get_num_threads(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Of this program, with ``-dirty`` where files differ from it; None outside a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - nothing from outside
    return done.stdout.strip() or None


def _flat(about: Mapping[str, Any]) -> dict[str, Any]:
    """What decides about the weights, an option a key."""
    options = {k: v for k, v in about["train"].items() if k not in _FREE}
    return {**options, "network": about["network"], "cohort": about["cohort"], "init": about.get("after")}


def _in_words(about: Mapping[str, Any]) -> str:
    train, cohort = about["train"], about["cohort"]
    counts = ", ".join(f"{n} {split}" for split, n in cohort["counts"].items()) if "counts" in cohort else "not stated"
    after = about["after"]
    start = "random weights" if after is None else f"{train['init']} (described in config.json under after)"
    what = "the head alone" if train["head_only"] else "the whole network"
    return f"""A training run of ecg_ka. Research use only, not a medical device.

Trained: {what}, from {start}, with loss {train["loss"]}, weights {train["weights"]}, addition {train["addition"]}.
Cohort: {cohort["about"]["description"]}
ECGs: {counts}

config.json holds every option, environment.json where it ran, history.json every epoch. weights.safetensors is the
network after the epoch with the least balanced MAE on the validation split; metrics.json holds what it reached there.
While checkpoint.safetensors is here and finished.json is not, the run is unfinished. The same command goes on with it:

    {Path(sys.executable).name} -m training.train {_options(train)}

A bundle is made of it with `python -m training.export`; its --help says how.
"""


def _options(train: Mapping[str, Any]) -> str:
    """All of them, as the command line takes them."""
    words = []
    for name, value in train.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None and value != "None":
            words.append(f"--{option} {value}")
    return " ".join(words)


def _json(content: object) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
