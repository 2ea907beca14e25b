"""docs/performance.md from one run of all that it says, and the guard that notices when a ratio falls.

python -m tests.benchmarks.performance            measures and prints
python -m tests.benchmarks.performance --write    also writes docs/performance.md and ratios.json
python -m tests.benchmarks.performance --check    fails when a ratio is less than 80 % of that in ratios.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from ecg_ka import Estimator, prepare
from ecg_ka.network import NetworkConfig, PotassiumNet
from tests.benchmarks import side_by_side
from tests.benchmarks.alternating import Rounds, Spread, take_turns
from tests.benchmarks.stages import PARTS, Machine, files_of_each_format, measured_machine, stages_of
from tests.ecg_ka.ecgs import csv_bytes, ecg

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "performance.md"
STORED = Path(__file__).with_name("ratios.json")
SHARED = ROOT.parent / "shared" / "data"
KEPT = 0.8
"""Of a stored ratio: what a measured one may not fall below."""

COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""New processes find the package compiled, as an installed one is."""

VARIES = """A virtual machine is as fast as its neighbours let it be, and processors differ: four runs of one evening
on an Intel Xeon of two cores, at commit a4d4e84, gave for the first two rows 10.8, 11.5, 9.2, 10.4 and 52.5, 53.8,
46.3, 51.8."""
"""What to make of one run."""

ROUNDS = 15
BATCHES = (1, 4, 8)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def processor() -> str:
    """Its name, where the system tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def cold_starts_s(folder: Path) -> Rounds:
    """`ecg-ka estimate` of a CSV file in a new process, on the wall and of the processor; here in seconds."""
    path = folder / "cold.csv"
    path.write_bytes(csv_bytes(ecg(1)))
    wall, spent = [], []
    for _ in range(9):
        before, started = os.times(), time.perf_counter()
        command = [sys.executable, "-m", "ecg_ka.cli", "estimate", str(path)]
        subprocess.run(command, check=True, capture_output=True, env=COMPILED)
        wall.append(time.perf_counter() - started)
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return Rounds(ms={"wall": np.array(wall), "processor": np.array(spent)})


def first_file_ms(path: Path) -> dict[str, float]:
    """Of each stage, medians over three new processes."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.stages", str(path)]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=COMPILED).stdout)
        for _ in range(3)
    ]
    return {part: float(np.median([run[part] for run in runs])) for part in PARTS}


def batches() -> Rounds:
    """Milliseconds an ECG of the network alone, in batches."""
    estimator = Estimator.load()
    inputs = np.stack([prepare(ecg(i), estimator.bundle.signal).signal_mv for i in range(max(BATCHES))])
    run = estimator._session.run
    calls = {str(n): lambda n=n: run(None, {"signal_mv": inputs[:n]}) for n in BATCHES}
    rounds = take_turns(calls, rounds=30, repeats=3)
    return Rounds(ms={name: ms / int(name) for name, ms in rounds.ms.items()})


def network_operations() -> int:
    """Floating point operations of our network for one ECG: two for each product in a convolution or matrix."""
    counted: list[int] = []

    def count(module: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        counted.append(2 * out.numel() * weight[0].numel())

    config = NetworkConfig()
    network = PotassiumNet(config).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.Linear):
            module.register_forward_hook(count)
    network(torch.zeros(1, config.n_leads, 2500))
    return sum(counted)


def profile_section(folder: Path) -> tuple[str, Spread]:
    """Warm and cold tables; and of all formats, how much longer the whole way takes than its parts."""
    estimator, warm, cold = Estimator.load(), [], []
    overs: list[float] = []
    for name, path in files_of_each_format(SHARED, folder).items():
        rounds = take_turns(stages_of(path, estimator), ROUNDS, repeats=3)
        sums = np.sum([rounds.ms[part] for part in PARTS], axis=0)
        over = Spread.of(rounds.ms["whole"] / sums)
        cells = [f"{rounds.time_ms(part).median:.2f}" for part in (*PARTS, "whole")]
        warm.append([name, *cells, f"{over.median:.2f}"])
        overs.append(over.median)
        first = first_file_ms(path)
        cold.append([name, *(f"{first[part]:.2f}" for part in PARTS), f"{sum(first.values()):.1f}"])
    head = ["format", *PARTS]
    text = (
        "Warm, medians in ms; the last column is the whole way over the sum of its parts (goal: at most 1.2).\n\n"
        f"{table([*head, 'whole', 'whole / sum'], warm)}\n\n"
        "Cold: the first file of a new process whose bundle is loaded, medians of three processes in ms. What is more\n"
        "than above is imports at first use, filters and tables made once, and pages not yet touched.\n\n"
        f"{table([*head, 'sum'], cold)}"
    )
    return text, Spread.of(np.array(overs))


def bounds_section(machine: Machine, operations: int) -> str:
    """What each stage cannot be faster than."""
    record_mb = 12 * 5000 * 4 / 1e6
    rows = [
        ["read", f"memory copy, {machine.copy_gb_s:.0f} GB/s", f"{record_mb / machine.copy_gb_s:.3f}"],
        ["sniff", "a look at the first bytes", "0"],
        ["parse", f"SHA-256, {machine.sha256_gb_s:.1f} GB/s; of text, the decimal numbers",
         f"{record_mb / 2 / machine.sha256_gb_s:.3f}"],
        ["preprocess", f"its two FFTs of 8 leads, {machine.fft_gflop_s:.0f} GFLOP/s", f"{machine.fft_ms:.3f}"],
        ["network", f"{operations / 1e6:.0f} MFLOP at {machine.product_gflop_s:.0f} GFLOP/s (matrix product, float32)",
         f"{operations / machine.product_gflop_s / 1e6:.3f}"],
        ["quality, uncertainty, serialise", "calls of numpy on short arrays, and Python: no arithmetic bound", "-"],
    ]  # fmt: skip
    return table(["stage", "bound for a record of 12 x 5000", "ms"], rows)


def peers_section(parts: Mapping[str, tuple[Rounds, tuple[str, ...]]]) -> tuple[str, dict[str, Spread]]:
    """A table for each comparison; the ratios against ours by name."""
    texts: list[str] = []
    ratios: dict[str, Spread] = {}
    for title, (rounds, ours) in parts.items():
        rows = []
        for name in rounds.ms:
            found = [rounds.ratio(name, fast) for fast in ours]
            if name not in ours:
                ratios |= {f"{title}: {name} / {fast}": r for fast, r in zip(ours, found, strict=True)}
            rows.append([name, f"{rounds.time_ms(name):.2f}", *("" if name in ours else f"{r:.1f}" for r in found)])
        texts.append(f"### {title}\n\n" + table(["", "ms", *(f"times {fast}" for fast in ours)], rows))
    return "\n\n".join(texts), ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", action="store_true", help="docs/performance.md and ratios.json")
    choice.add_argument("--check", action="store_true", help="against ratios.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        peers, ratios = peers_section(
            {
                "Preprocessing": (side_by_side.preprocessing(6 * ROUNDS), ("filter_and_resample", "to_model_input")),
                "Network": (side_by_side.networks(ROUNDS), ("ours",)),
                "File to estimate": (side_by_side.whole_way(folder, ROUNDS), ("ours",)),
            }
        )
        if options.check:
            sys.exit(fallen(ratios))
        profile, over = profile_section(folder)
        bounds = bounds_section(measured_machine(), network_operations())
        cold = cold_starts_s(folder)
    text = document(f"{profile}\n\n## What bounds a stage\n\n{bounds}", peers, goals_table(ratios, over, cold))
    print(text)
    if options.write:
        DOCUMENT.write_text(text, encoding="utf-8")
        STORED.write_text(json.dumps({k: round(r.median, 2) for k, r in ratios.items()}, indent=1) + "\n")


def fallen(ratios: Mapping[str, Spread]) -> str | None:
    """What to say of the ratios that are less than :data:`KEPT` of the stored ones; None if there are none."""
    stored: dict[str, float] = json.loads(STORED.read_text(encoding="utf-8"))
    if stored.keys() != ratios.keys():
        return f"{STORED.name} has other ratios than were measured; write it again with --write"
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.1f}; stored {stored[name]:.1f}")
    low = [name for name, ratio in ratios.items() if ratio.median < KEPT * stored[name]]
    return f"fell below {KEPT:.0%} of what is stored: {'; '.join(low)}" if low else None


def goals_table(ratios: Mapping[str, Spread], over: Spread, cold: Rounds) -> str:
    """Each goal with what was measured, and whether it was reached."""
    scipy, neurokit = "Preprocessing: sosfiltfilt + resample_poly / ", "Preprocessing: neurokit2.ecg_clean / "
    at_least = [
        (
            "preprocessing of an ECG of 12 leads (8 filtered), against sosfiltfilt + resample_poly",
            10,
            scipy + "to_model_input",
        ),
        ("the same, against neurokit2's cleaning", 50, neurokit + "to_model_input"),
        ("all 12 leads through our filter, against sosfiltfilt + resample_poly", 10, scipy + "filter_and_resample"),
        ("the same, against neurokit2's cleaning", 50, neurokit + "filter_and_resample"),
        ("network, against Ribeiro's shape", 5, "Network: Ribeiro-shaped / ours"),
        ("network, against ECGFounder's shape", 5, "Network: Net1D-shaped / ours"),
    ]
    at_most = [
        ("file to estimate over the sum of its parts, median over formats", 1.2, over),
        ("`ecg-ka estimate` of a CSV file in a new process, s on the wall", 1.0, cold.time_ms("wall")),
        ("the same, s of the processor", 1.0, cold.time_ms("processor")),
    ]
    rows = [
        [what, f">= {goal}", f"{ratios[key]:.1f}", _said(ratios[key].lower >= goal, ratios[key].upper >= goal)]
        for what, goal, key in at_least
    ]
    rows += [
        [what, f"<= {goal}", f"{found:.2f}", _said(found.lower <= goal, found.upper <= goal)]
        for what, goal, found in at_most
    ]
    return table(["", "goal", "measured", "reached"], rows)


def _said(lower_reaches: bool, upper_reaches: bool) -> str:
    """Of the two quartiles."""
    if lower_reaches != upper_reaches:
        return "within the spread"
    return "yes" if lower_reaches else "no"


def document(profile: str, peers: str, goals: str) -> str:
    """The page."""
    batched = batches()
    packages = ("numpy", "scipy", "onnxruntime", "torch", "neurokit2", "wfdb")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    batch_rows = [
        [name, f"{batched.time_ms(name):.2f}", f"{batched.ratio('1', name):.2f}"] for name in map(str, BATCHES)
    ]
    return f"""# Performance

Generated by `python -m tests.benchmarks.performance --write`; `make bench-check` fails when a ratio below falls by more
than 20 %. Measured with OMP_NUM_THREADS=1 on {processor()} ({platform.machine()}, {os.cpu_count()} cores),
Python {platform.python_version()}, {versions}.

One process and one thread; contenders take turns, {ROUNDS} rounds (preprocessing {6 * ROUNDS}); times are those of the
processor, so that what other programs were given meanwhile does not count. Written as median (quartiles). Files on the
disk were in its cache. A recording has 12 leads and 10 s; where a format has no real file here, it was written from a
simulated ECG.

## Goals

{goals}

"Within the spread": the goal lies between the quartiles. Preprocessing makes the network's input, for which 8 of the 12
leads suffice, as the other four follow from I and II; the networks of the others take all 12. The two rows after it
filter all 12, as no answer needs. Four fifths of preprocessing are its two FFTs (bounds below).
{VARIES}

## Where a file's time goes

{profile}

## Side by side

What a user would run instead, written from the public descriptions in `tests/benchmarks/peers.py`: (a) wfdb, the
default cleaning of neurokit2 and a ResNet of Ribeiro's shape (12 x 4096); (b) wfdb, notch, band-pass and median filter,
and a Net1D of ECGFounder's shape (12 x 5000, 31 million parameters); (c) wfdb, sosfiltfilt, resample_poly and our
network in torch. Their filters are designed beforehand, their weights are random. `filter_and_resample` does 12 leads;
`to_model_input` makes what the network is given, from 8 of the 12 leads, with its checks. Ours answers with
quality, interval and novelty, the others with one number. How accurate networks of these shapes are after equal time is
in [shapes.md](shapes.md).

{peers}

## Batches

The network alone, in ms an ECG:

{table(["batch", "ms an ECG", "times as fast as alone"], batch_rows)}

The service answers requests one by one: what a batch saves of the network is a few hundredths of an answer (first
table), and a request would have to wait for others.
"""


if __name__ == "__main__":
    main()
