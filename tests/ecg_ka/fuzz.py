"""Damaged files by the hundred thousand: only errors of ours may come out, and nothing else may be opened.

    python -m tests.ecg_ka.fuzz --cases 200000 --seed 1      what `make fuzz` runs
    python -m tests.ecg_ka.fuzz --seed 1 --replay 4711       one case again, with its traceback

A case is its number and the seed: they choose the file, the damage, and what the caller says about it.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ecg_ka.errors import EcgError
from ecg_ka.readers import read
from ecg_ka.scoring.progress import Progress
from tests.conftest import SHARED
from tests.ecg_ka import seeds

FACTS: Sequence[dict[str, Any]] = ({}, {}, {"fs_hz": 500.0}, {"fs_hz": 500.0, "units": "uV"})
FIELDS = (b"", b"0", b"-1", b"1e400", b"1e300", b"nan", b"9" * 30, b"&x;", b"<a>", b"</a>", b"]]>", b"\0", b"mV", b"/")
_DELIMITED = re.compile(rb'[>",:;\s=]([^<>",:;\s=]{1,40})')
_CHUNK = 250
_LONGEST_S = 120
_MODULES = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]))
_OUTSIDE = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.rename", "os.link", "os.symlink")

_opened: list[str] = []
_watching = False


@dataclass(frozen=True, slots=True)
class Report:
    """What some cases came to: findings in words, the slowest case and the one that raised the peak memory."""

    n_read: int
    n_refused: int
    findings: tuple[str, ...]
    slowest: tuple[float, str]
    peak: tuple[float, str]


def mutated(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """One to four kinds of damage: bits flipped, fields edited, numbers put in, pieces moved or foreign, ends cut."""
    for _ in range(rng.randint(1, 4)):
        at = _place(len(data), rng)
        until = at + rng.choice((0, 1, 2, 4, 8, 40))
        match rng.randrange(6):
            case 0 if data:
                data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
            case 1 if (field := _DELIMITED.search(data, at, at + 4096)) is not None:
                data = data[: field.start(1)] + rng.choice(FIELDS) + data[field.end(1) :]
            case 2:
                number = rng.choice((0, 1, -1, 2**15, 2**31 - 1, rng.getrandbits(16))).to_bytes(
                    4, "little", signed=True
                )
                data = data[:at] + number[: rng.choice((1, 2, 4))] + data[until:]
            case 3:
                start = _place(len(data), rng)
                data = data[:at] + data[start : start + rng.randrange(400)] + data[until:]
            case 4:
                start = _place(len(other), rng)
                data = data[:at] + other[start : start + rng.randrange(400)] + data[until:]
            case _:
                data = data[: rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data[:at] + data[until:]
    return data


def _place(size: int, rng: random.Random) -> int:
    """Somewhere in the file, as often near its beginning, where headers are."""
    return rng.randrange(max(1, min(size, rng.choice((64, 512, 4096, size)))))


@cache
def _seeds() -> tuple[list[Mapping[str, bytes]], list[str], list[float]]:
    """Files, names and weights: small files more often, for each costs less."""
    found = seeds.small() | (seeds.real(SHARED) if SHARED.is_dir() else {})
    sizes = [sum(map(len, files.values())) for files in found.values()]
    return list(found.values()), list(found), [max(0.03, 1 / (1 + size / 8000)) for size in sizes]


def make(seed: int, number: int) -> tuple[str, dict[str, bytes], dict[str, Any]]:
    """The name, the damaged files and the facts of one case."""
    rng = random.Random(f"{seed}-{number}")
    files, names, weights = _seeds()
    (which,) = rng.choices(range(len(files)), weights)
    damaged = dict(files[which])
    target = rng.choice(list(damaged))
    damaged[target] = mutated(damaged[target], rng, rng.choice(list(rng.choice(files).values())))
    return f"case {number}, seed {seed}, {names[which]}", damaged, rng.choice(FACTS)


def refusal(files: Mapping[str, bytes], facts: Mapping[str, Any]) -> EcgError | None:
    """The error of ours that some files get, or None when they are read; anything else is raised."""
    global _watching
    _opened.clear()
    _watching = True
    result: EcgError | None = None
    try:
        record = read(files, **facts)
    except EcgError as error:
        result = error
    finally:
        _watching = False
    if _opened:
        raise AssertionError(f"opened {_opened[:3]}")
    if result is None and not np.isfinite(record.signal_mv).all():
        raise AssertionError("samples that are not finite were read")
    if result is not None and not 20 < len(str(result)) < 1200:
        raise AssertionError(f"a message of {len(str(result))} characters")
    return result


def run(seed: int, first: int, n_cases: int) -> Report:
    """Some cases in this process."""
    read_, refused, findings, slowest, peak = 0, 0, [], (0.0, ""), (_peak_mb(), "an earlier case")
    for number in range(first, first + n_cases):
        name, files, facts = make(seed, number)
        faulthandler.dump_traceback_later(_LONGEST_S, exit=True)
        started = time.process_time()
        try:
            error = refusal(files, facts)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            findings.append(f"{name}:\n{traceback.format_exc(limit=-6)}")
        else:
            read_, refused = read_ + (error is None), refused + (error is not None)
        slowest = max(slowest, (time.process_time() - started, name))
        peak = max(peak, (_peak_mb(), name), key=lambda found: found[0])
    faulthandler.cancel_dump_traceback_later()
    return Report(read_, refused, tuple(findings), slowest, peak)


def _peak_mb() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def watch() -> None:
    """From now on, whatever a case opens beside the private folder of a decoder is noted; this cannot be undone."""
    for files in _seeds()[0]:  # what is imported late is imported now
        for facts in FACTS[1:]:
            try:
                read(files, **facts)
            except EcgError:
                continue
    private = str(Path(tempfile.gettempdir()) / "ecg-ka-")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not _watching or not (event == "open" or event.startswith(_OUTSIDE)):
            return
        path = os.fsdecode(arguments[0]) if event == "open" and not isinstance(arguments[0], int) else None
        if path is None and event == "open":
            return
        is_module = path is not None and path.startswith(_MODULES) and path.endswith((".py", ".pyc", ".so"))
        if path is None or not (path.startswith(private) or is_module):
            _opened.append(f"{event} {path or arguments!r:.100}")

    sys.addaudithook(hook)


def _peak(reports: Sequence[Report]) -> tuple[float, str]:
    """The most memory, and the case that raised it there where one did."""
    highest = max(report.peak[0] for report in reports)
    names = [report.peak[1] for report in reports if report.peak[0] == highest]
    return highest, next((name for name in names if name.startswith("case")), "before the first case")


def main() -> int:
    """All cases in some processes; the exit code is 1 when there was a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--replay", type=int)
    options = parser.parse_args()
    if options.replay is not None:
        watch()
        name, files, facts = make(options.seed, options.replay)
        print(name, {file: len(data) for file, data in files.items()}, facts)
        print(repr(refusal(files, facts)))
        return 0
    reports, bar = [], Progress("fuzz", options.cases)
    with ProcessPoolExecutor(options.processes, initializer=watch) as pool:
        starts = range(0, options.cases, _CHUNK)
        sizes = {pool.submit(run, options.seed, n, n_now := min(_CHUNK, options.cases - n)): n_now for n in starts}
        for future in as_completed(sizes):
            reports.append(report := future.result())
            print("\n".join(report.findings), end="\n" * bool(report.findings), flush=True)
            bar.step(sizes[future])
    n_findings = sum(len(report.findings) for report in reports)
    slowest, peak = max(report.slowest for report in reports), _peak(reports)
    print(
        f"{options.cases} cases, seed {options.seed}, {len(_seeds()[0])} whole files: "
        f"{sum(r.n_read for r in reports)} read, {sum(r.n_refused for r in reports)} refused, {n_findings} findings\n"
        f"slowest: {slowest[0]:.2f} s of processor time ({slowest[1]})\npeak memory: {peak[0]:.0f} MB ({peak[1]})"
    )
    return int(n_findings > 0)


if __name__ == "__main__":
    sys.exit(main())
