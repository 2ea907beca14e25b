"""A cohort gets to disk whole or not at all, and a run that was killed goes on to the very same bytes."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecg_ka.exporters.wfdb import record_wfdb
from ecg_ka.preprocess import SignalSpec
from tests.ecg_ka.ecgs import ecg
from tests.training.full_disk import files_of_at_most
from tests.training.mimic_tree import write_table
from training.cohort import POTASSIUM, Cohort, sha256_of
from training.cohort.journal import Part, Reject
from training.cohort.manifest import ManifestConfig, build
from training.cohort.writer import Target

SPEC = SignalSpec()


def part(n: int, first: int = 0) -> Part:
    steps = np.arange(first, first + n, dtype=np.int16)[:, None, None]
    facts = {"patient": [*range(first, first + n)], "age_years": [0.1 * i for i in range(n)]}
    return Part(np.broadcast_to(steps, (n, len(SPEC.leads), SPEC.n_samples)), facts, [Reject(f"{first}", "late")])


PARTS = [part(2), part(0, 2), part(3, 2), part(1, 5), part(0, 6)]


def target(folder: Path, plan: str = "a") -> Target:
    return Target(folder / "c", SPEC, {"plan": plan})


def write(folder: Path, n_parts: int = len(PARTS)) -> int:
    """Writes what is missing of some parts, and finishes if these are all; returns how many were there already."""
    with target(folder).journal(6) as journal:
        n_before = len(journal.done)
        for one in PARTS[n_before:n_parts]:
            journal.add(one)
        if n_parts == len(PARTS):
            facts = pl.concat(
                [pl.DataFrame(done.facts, schema={"patient": int, "age_years": float}) for done in journal.done]
            )
            index = facts.with_columns(pl.lit(4.0).alias(POTASSIUM.name), split=pl.lit("train"))
            target(folder).finish(journal, index, POTASSIUM, {})
    return n_before


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_parts_of_any_size_come_back_as_they_were(tmp_path: Path) -> None:
    write(tmp_path)
    cohort = Cohort.open(tmp_path / "c")
    assert cohort.signals[:, 0, 0].tolist() == [*range(6)]
    assert cohort.index["patient"].tolist() == [*"012345"]
    assert cohort.column("age_years", np.array([0, 1])).tolist() == [0.0, 0.1]
    assert (tmp_path / "c" / "rejects.csv").read_text().splitlines() == [
        "path,reason",
        *(f"{i},late" for i in (0, 2, 2, 5, 6)),
    ]
    assert target(tmp_path).is_finished()
    with pytest.raises(KeyError, match=r"no column 'qrs_ms'; it has patient, ecg_time, potassium_mmol_l"):
        cohort.column("qrs_ms", np.array([0]))


@given(st.integers(0, len(PARTS)), st.floats(0, 1), st.floats(0, 1), st.binary(max_size=40), st.booleans())
@example(4, 1.0, 1.0, b"torn", False)
@settings(max_examples=25, deadline=None)
def test_whatever_of_the_files_is_on_disk_the_cohort_becomes_the_same(
    tmp_path_factory: pytest.TempPathFactory, n: int, lines: float, samples: float, junk: bytes, harmed: bool
) -> None:
    folder = tmp_path_factory.mktemp("cohort")
    write(folder / "whole")
    if n < len(PARTS):
        write(folder, n)
        files = [(folder / "c.part" / "journal", lines), (folder / "c.part" / "cohort" / "signals.npy", samples)]
        for path, share in files:
            data = path.read_bytes()
            path.write_bytes(data[: round(share * len(data))] + junk)
        if harmed and files[1][0].stat().st_size > 200:
            data = files[1][0].read_bytes()
            files[1][0].write_bytes(data[:150] + b"?" + data[151:])
    assert write(folder) <= n
    assert contents(folder / "c") == contents(folder / "whole" / "c")
    shutil.rmtree(folder)


def test_what_is_written_down_is_not_made_again(tmp_path: Path) -> None:
    assert write(tmp_path, 3) == 0
    assert write(tmp_path, 3) == 3
    with pytest.raises(FileNotFoundError, match="no finished cohort"):
        Cohort.open(tmp_path / "c")
    with pytest.raises(FileNotFoundError, match="no finished cohort"):
        Cohort.open(tmp_path / "c.part" / "cohort")


@pytest.mark.parametrize("stop", [(pl.DataFrame, "write_parquet"), (json, "dumps"), (os, "fsync")])
def test_a_kill_at_the_end_leaves_nothing_that_looks_whole(
    tmp_path: Path, stop: tuple[object, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write(tmp_path / "whole")
    write(tmp_path, 3)
    with target(tmp_path).journal(6) as journal, monkeypatch.context() as patch:
        journal.add(PARTS[3])
        patch.setattr(*stop, killed)
        index = pl.DataFrame({"patient": [*range(6)], POTASSIUM.name: 4.0, "split": "train"})
        with pytest.raises(KeyboardInterrupt):
            target(tmp_path).finish(journal, index, POTASSIUM, {})
    assert not (tmp_path / "c").exists()
    assert write(tmp_path) == 4
    assert contents(tmp_path / "c") == contents(tmp_path / "whole" / "c")


def test_another_plan_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    write(tmp_path, 3)
    with (
        pytest.raises(FileExistsError, match=r"begun with other .*\(plan: a before, b now\)"),
        target(tmp_path, "b").journal(6),
    ):
        pass
    assert write(tmp_path) == 3
    with pytest.raises(FileExistsError, match="made with other options"):
        target(tmp_path, "b").is_finished()


def test_two_processes_do_not_write_one_cohort(tmp_path: Path) -> None:
    with (
        target(tmp_path).journal(6),
        pytest.raises(FileExistsError, match="another process is making this cohort"),
        target(tmp_path).journal(6),
    ):
        pass


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    assert not target(tmp_path).is_finished()
    (tmp_path / "c" / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="holds something already"):
        target(tmp_path).is_finished()
    (tmp_path / "c.part").mkdir()
    (tmp_path / "c.part" / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="is no unfinished cohort"):
        write(tmp_path)
    assert (tmp_path / "c.part" / "notes.txt").exists()


@pytest.mark.parametrize("n_bytes", [60_000, 150_000, 200_000])
def test_a_disk_that_gets_full_loses_nothing(tmp_path: Path, n_bytes: int) -> None:
    """A limit on the size of a file stops writing in the middle of a part, as a full disk does."""
    write(tmp_path / "whole")
    with files_of_at_most(n_bytes), pytest.raises(OSError, match="with space the same command goes on"):
        write(tmp_path)
    assert not (tmp_path / "c").exists()
    write(tmp_path)
    assert contents(tmp_path / "c") == contents(tmp_path / "whole" / "c")


def test_too_little_space_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"1000000000000 ECGs need 40000000\.0 GB; free are "):
        target(tmp_path).journal(10**12)


def test_an_index_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    path, description = tmp_path / "c" / "index.parquet", tmp_path / "c" / "cohort.json"
    index, about = pl.read_parquet(path), json.loads(description.read_text())
    in_two = pl.concat([index[:5], index[:1].with_columns(split=pl.lit("test"))])
    for changed, message in ((in_two, "more than one split, such as 0"), (index[:5], "6 signals and 5 rows")):
        changed.write_parquet(path)
        with pytest.raises(ValueError, match="its SHA-256 differs"):
            Cohort.open(tmp_path / "c")
        about["sha256"]["index"] = sha256_of(path)
        description.write_text(json.dumps(about))
        with pytest.raises(ValueError, match=message):
            Cohort.open(tmp_path / "c")


@pytest.mark.parametrize("name", ["signals.npy", "index.parquet", "cohort.json"])
def test_a_damaged_cohort_is_refused_by_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    path = tmp_path / "c" / name
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"{}", pickle.dumps({"a": 1})):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{name} .*Delete the folder and make the cohort again"):
            Cohort.open(tmp_path / "c")


def write_files(folder: Path, n: int) -> Path:
    """A table of ECG files, some of them the same ECG under another name, some missing."""
    files = record_wfdb(ecg(1), "r")
    samples = np.frombuffer(files["r.dat"], dtype="<i2")
    for i in range(n):
        if i % 50 != 49:
            (folder / f"{i}").mkdir(parents=True)
            (folder / f"{i}" / "r.hea").write_bytes(files["r.hea"])
            (folder / f"{i}" / "r.dat").write_bytes(np.roll(samples, 12 * (i - (i % 20 == 19))).tobytes())
    rows: list[dict[str, object]] = [
        {"path": f"{i}/r.hea", POTASSIUM.name: 3 + i % 40 / 10, "patient": f"p{i // 3:04}"} for i in range(n)
    ]
    write_table(folder / "pairs.csv", list(rows[0]), rows)
    return folder / "pairs.csv"


def kill_and_compare(folder: Path, n_files: int, n_kills: int) -> list[tuple[int, int]]:
    """Kills real processes, at start-up, between parts and within them, wherever the moment falls; each goes on.
    Returns how many parts were done before and after each."""
    progress = []
    table, out = write_files(folder / "files", n_files), folder / "c"
    build(ManifestConfig(table=table, out=folder / "whole" / "c", workers=1))
    whole, moments = contents(folder / "whole" / "c"), random.Random(5)
    arguments = ["manifest", "--table", str(table), "--workers", "2", "--out", str(out)]
    command, journal = [sys.executable, "-m", "training.cohort", *arguments], folder / "c.part" / "journal"
    for kill in range(n_kills):
        lines_before = n_lines(journal)
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            wait_for = lines_before + moments.choice([0, 1, 1, 2, 3])
            while n_lines(journal) < wait_for and process.poll() is None:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.05 if kill % 3 else 1.0))
            process.kill()
        progress.append((lines_before, n_lines(journal)))
        if out.exists():
            assert contents(out) == whole
            shutil.rmtree(out)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(out) == whole
    assert not journal.parent.exists()
    is_missing, is_again = np.arange(n_files) % 50 == 49, np.arange(n_files) % 20 == 19
    assert json.loads(whole["cohort.json"])["about"]["rejects"] == (is_missing | is_again).sum()
    return progress


def n_lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0


def test_killed_at_random_moments_the_cohort_is_the_same(tmp_path: Path) -> None:
    """Ten kills are in tests/benchmarks/bench_cohorts.py."""
    kill_and_compare(tmp_path, 200, 2)
