"""How accurate networks of other shapes become with the same simulated ECGs and the same time on one core.

    python -m training.cohort simulated --out runs/shapes/cohort --patients 48000 --seed 1
    python -m tests.benchmarks.accuracy --cohort runs/shapes/cohort --out runs/shapes

trains each network that ``--out`` has no result of yet (those of others' shapes and ours 30 minutes of one core each,
cheaper ones and ours 10; ``--only`` names some, so that two can be trained at once) and writes docs/shapes.md once all
results are there. Time is that of the processor: what other programs are given meanwhile does not count, though they
slow it through memory and caches.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecg_ka.network import n_parameters
from ecg_ka.scoring.progress import Progress
from ecg_ka.uncertainty import Regions
from tests.benchmarks.performance import processor
from tests.benchmarks.shapes import SHAPES, Shape
from training.cohort import Cohort, Split
from training.devices import in_bfloat16
from training.files import write_atomically
from training.markdown import table
from training.metrics import Floats, alarm_metrics, regression_metrics

RUNS = {
    **{f"{name}-30": (name, 30.0) for name in ("ours", "ribeiro", "net1d")},
    **{f"{name}-10": (name, 10.0) for name in ("ours", "stride8", "half_rate", "depthwise")},
}
"""Which networks are compared with how many minutes each."""

DOCUMENT = Path(__file__).parents[2] / "docs" / "shapes.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What every network is given. The rate rises over the first ``warm_up`` of the time and falls as a cosine."""

    minutes: float
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.05
    seed: int = 1

    def rate(self, share: float) -> float:
        """The factor of the learning rate when ``share`` of the time has passed."""
        if share < self.warm_up:
            return share / self.warm_up
        return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (share - self.warm_up) / (1 - self.warm_up)))))


def outputs(shape: Shape, network: nn.Module, signal_mv: Tensor) -> Tensor:
    """(B, 8, 2500) -> potassium (B,); in the precision that our training has."""
    formed = shape.form(signal_mv)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bfloat16(signal_mv.device)):
        out: Tensor = network(formed)
    return out.float()


def train(shape: Shape, cohort: Cohort, budget: Budget) -> tuple[nn.Module, int]:
    """A network trained with L1 on random ECGs of the training split until the time is over, and how many it saw."""
    torch.manual_seed(budget.seed)
    order, rows = np.random.default_rng(budget.seed), cohort.rows(Split.TRAIN)
    network = shape.network().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=budget.learning_rate, weight_decay=budget.weight_decay)
    progress, shown, n_seen = Progress("training (s)", round(60 * budget.minutes)), 0, 0
    started = time.process_time()
    waiting = np.empty(0, dtype=np.int64)
    while (passed := time.process_time() - started) < 60 * budget.minutes:
        progress.step(int(passed) - shown, f"{n_seen} ECGs")
        shown = int(passed)
        if waiting.size < budget.batch_size:
            waiting = order.permutation(rows)
        batch, waiting = np.split(waiting, [budget.batch_size])
        for group in optimiser.param_groups:
            group["lr"] = budget.learning_rate * budget.rate(passed / (60 * budget.minutes))
        step(shape, network, optimiser, cohort, batch)
        n_seen += batch.size
    return network.eval(), n_seen


def step(
    shape: Shape, network: nn.Module, optimiser: torch.optim.Optimizer, cohort: Cohort, rows: NDArray[np.int64]
) -> None:
    """One step of L1."""
    rows = np.sort(rows)
    labels = torch.from_numpy(cohort.labels(rows).astype(np.float32))
    loss = (outputs(shape, network, torch.from_numpy(cohort.signal_mv(rows))) - labels).abs().mean()
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()


@torch.no_grad()
def estimates(shape: Shape, network: nn.Module, cohort: Cohort, rows: NDArray[np.int64]) -> Floats:
    """Potassium (n,) of the ECGs at ``rows``."""
    parts = np.array_split(rows, max(1, len(rows) // 64))
    found = [outputs(shape, network, torch.from_numpy(cohort.signal_mv(part))) for part in parts]
    return torch.cat(found).numpy().astype(np.float64)


@torch.no_grad()
def alone_ms(names: Sequence[str], rounds: int = 100) -> dict[str, float]:
    """Milliseconds of each network in float32 for one ECG: the least of many in turn, so that other work slows all."""
    signal_mv = torch.randn(1, 8, 2500, generator=torch.Generator().manual_seed(1))
    networks = {name: (SHAPES[name].network().eval(), SHAPES[name].form(signal_mv)) for name in names}
    least_s = dict.fromkeys(names, float("inf"))
    for _ in range(rounds):
        for name, (network, formed) in networks.items():
            started = time.process_time()
            network(formed)
            least_s[name] = min(least_s[name], time.process_time() - started)
    return {name: 1e3 * seconds for name, seconds in least_s.items()}


def result(name: str, cohort: Cohort, budget: Budget) -> dict[str, Any]:
    """Train one network and measure it on the test split."""
    shape = SHAPES[name]
    network, n_seen = train(shape, cohort, budget)
    rows = cohort.rows(Split.TEST)
    labels, found = cohort.labels(rows), estimates(shape, network, cohort, rows)
    return {
        "budget": asdict(budget),
        "processor": processor(),
        "torch": torch.__version__,
        "precision": "bfloat16" if in_bfloat16(torch.device("cpu")) else "float32",
        "cohort": cohort.about["signal_sha256"],
        "n_seen": n_seen,
        "n_train": len(cohort.rows(Split.TRAIN)),
        "shape": name,
        "metrics": regression_metrics(labels, found, Regions()),
        "auroc": alarm_metrics(labels, found),
    }


def results_table(results: Sequence[dict[str, Any]], ms: Mapping[str, float]) -> str:
    """A row a network."""
    head = ["network", "parameters (M)", "ms an ECG", "passes", "MAE", "few-shot MAE", "r", "AUROC K >= 5.5", "K < 3.5"]
    rows = [
        [
            SHAPES[one["shape"]].what,
            f"{n_parameters(SHAPES[one['shape']].network()) / 1e6:.2f}",
            f"{ms[one['shape']]:.2f}",
            f"{one['n_seen'] / one['n_train']:.1f}",
            *(f"{one['metrics'][key]:.3f}" for key in ("mae", "mae_few", "r")),
            *(f"{one['auroc'][key]['value']:.3f}" for key in (">=5.5", "<3.5")),
        ]
        for one in results
    ]
    return table(head, rows)


def page(results: Mapping[str, dict[str, Any]], ms: Mapping[str, float]) -> str:
    """docs/shapes.md, with the milliseconds of each network.

    Raises:
        ValueError: the results are not of one cohort, processor, precision and torch.
    """
    first = results["ours-30"]
    if any(one[key] != first[key] for one in results.values() for key in ("cohort", "processor", "precision", "torch")):
        raise ValueError(
            "the results are of several cohorts, processors, precisions or versions of torch; train all anew"
        )
    high = first["auroc"][">=5.5"]
    events = {key: int(first["auroc"][key]["n_positive"]) for key in (">=5.5", "<3.5")}
    long, short = ([results[key] for key, (_, minutes) in RUNS.items() if minutes == m] for m in (30, 10))
    return f"""# Networks of other shapes, at equal time

Simulated ECGs: these figures compare networks, and say nothing about patients.

Each network had the minutes that its table says of one core ({first["processor"]}, torch
{first["torch"]}), the same {first["n_train"]} training ECGs, L1, AdamW, batches of {first["budget"]["batch_size"]},
a highest learning rate of {first["budget"]["learning_rate"]:g} tuned for none of them, no augmentation, convolutions in
{first["precision"]}; one run each. "Passes" is how often each saw them: the smaller
network sees more in the same time. That is what is compared, and it does not tell which would be best after a week on a
GPU. Other work ran on the machine, so that equal times are not quite equal: see the passes of ours in both tables.
Tested on {int(first["metrics"]["n"])} ECGs of other patients, {events[">=5.5"]} with a potassium of 5.5 mmol/L or more
and {events["<3.5"]} below 3.5; the best constant has an MAE of {first["metrics"]["mae_of_the_median"]:.3f} mmol/L.
The 95 % interval of ours for K >= 5.5 is {high["lower"]:.3f} to {high["upper"]:.3f}; within it a
difference may be chance.
"ms an ECG" is the network alone in torch, float32, one thread, the least of 100 in turn with the others.

    python -m training.cohort simulated --out runs/shapes/cohort --patients 48000 --seed 1
    python -m tests.benchmarks.accuracy --cohort runs/shapes/cohort --out runs/shapes

## What others use: 30 minutes each

{results_table(long, ms)}

They are given the same filtered signals in the leads, rate and length of their descriptions
(`tests/benchmarks/shapes.py`), ECGFounder's shape scaled to an SD of 1.

## What a cheaper network would be: 10 minutes each

{results_table(short, ms)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, required=True, help="made by `python -m training.cohort simulated`")
    parser.add_argument("--out", type=Path, required=True, help="folder with a result a network, as NAME-MINUTES.json")
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), help="what to train now")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cohort = Cohort.open(options.cohort)
    for key in options.only:
        path, (name, minutes) = options.out / f"{key}.json", RUNS[key]
        if not path.exists():
            write_atomically(path, json.dumps(result(name, cohort, Budget(minutes=minutes)), indent=1) + "\n")
    files = {key: options.out / f"{key}.json" for key in RUNS}
    if all(path.exists() for path in files.values()):
        results = {key: json.loads(path.read_text()) for key, path in files.items()}
        write_atomically(DOCUMENT, page(results, alone_ms(list(SHAPES))))


if __name__ == "__main__":
    main()
