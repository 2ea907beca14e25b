"""Damaged files of every format: only errors of ours come out, quickly, and within 512 MB."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_ka.errors import EcgError, UnreadableRecord
from ecg_ka.readers import intake, read, registry
from ecg_ka.record import EcgRecord
from tests.ecg_ka import fuzz, seeds
from tests.ecg_ka.writers import LEADS, edf, flac, header, ishne, mat, npy, scp

SHORT = 1500


def test_damaged_files_raise_errors_of_ours_alone() -> None:
    """The beginning of what `make fuzz` runs, on the small files and, where they are there, the real ones."""
    report = fuzz.run(seed=2, first=0, n_cases=SHORT)
    assert report.findings == ()
    assert min(report.n_read, report.n_refused) > SHORT / 40
    assert report.slowest[0] < 5


def test_a_case_is_its_number_and_seed() -> None:
    assert fuzz.make(1, 7) == fuzz.make(1, 7)
    assert fuzz.make(1, 7) != fuzz.make(2, 7)


def test_every_format_is_damaged_behind_its_door_too() -> None:
    """Whole, each of the small files is read, and there is one of every format."""
    for files in seeds.small().values():
        fs_hz, units = (500.0, "mV") if {"npy", "mat"} & set(files) else (None, None)
        assert read(files, fs_hz=fs_hz, units=units).signal_mv.size
    kinds = {registry.pick(intake.from_upload(files))[0].name for files in seeds.small().values()}
    assert kinds == {kind.name for kind in registry.FORMATS}


def test_the_fuzzer_finds_foreign_errors_and_opened_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def foreign(*_arguments: object, **_facts: object) -> EcgRecord:
        raise KeyError("not of ours")

    (tmp_path / "secret").write_bytes(b"x")

    def opens(*_arguments: object, **_facts: object) -> EcgRecord:
        (tmp_path / "secret").read_bytes()
        raise UnreadableRecord("refused, but only after a look at another file")

    fuzz.watch()
    for culprit, words in ((foreign, "KeyError"), (opens, "secret")):
        monkeypatch.setattr(fuzz, "read", culprit)
        report = fuzz.run(seed=1, first=0, n_cases=3)
        assert len(report.findings) == 3
        assert words in report.findings[0]


def _loud(storage: str, n: int) -> bytes:
    return header(LEADS[:8], record=f"a 8 20000 {n}", storage=storage)


def _segment(n: int) -> dict[str, bytes]:
    return {"a.hea": header(record=f"a 12 20000 {n}"), "a.dat": bytes(24 * n)}


LARGEST: dict[str, Callable[[], bytes | dict[str, bytes]]] = {
    "npy": lambda: npy(np.zeros((8, 2_490_000), np.int8)),
    "format 8": lambda: {"a.hea": _loud("8", 2_480_000), "a.dat": bytes(19_840_000)},
    "format 80": lambda: {"a.hea": _loud("80", 2_480_000), "a.dat": b"\x80" * 19_840_000},
    "format 212": lambda: {"a.hea": _loud("212", 1_660_000), "a.dat": bytes(19_920_000)},
    "format 516, packed to 100 kB": lambda: {
        "a.hea": _loud("516", 2_400_000),
        "a.dat": flac(np.zeros((8, 2_400_000), np.int16)),
    },
    "format 16 of more leads than bytes": lambda: {"a.hea": _loud("16x10000", 1000), "a.dat": bytes(1000)},
    "mat": lambda: mat(compressed=False, val=np.zeros((8, 2_490_000), np.int8)),
    "edf": lambda: edf(np.zeros((12, 800_000), np.int16)),
    "ishne": lambda: ishne(np.zeros((12, 800_000), np.int16)),
    "segments": lambda: {"m.hea": b"m/1000 12 20000\n" + b"a 1600\n" * 1000} | _segment(1600),
    "scp": lambda: scp(np.zeros((12, 16_000), np.int16), interval_us=200),
    "a zip of nothing but marks": lambda: b"PK\x03\x04" + b"PK\x01\x02" * 4_900_000,
}


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_files_stay_within_512_mb(name: str) -> None:
    source = LARGEST[name]()
    tracemalloc.start()
    try:
        stated = name in ("scp", "edf", "ishne")
        assert read(source, fs_hz=None if stated else 20_000, units=None if stated else "mV").fs_hz >= 500
    except EcgError:
        assert name.endswith(("bytes", "marks"))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 400_000_000  # 80 MB are the interpreter and its libraries


@pytest.mark.parametrize("piece", [b"[],", b"{},"])
def test_json_of_empty_lists_is_refused_before_they_fill_the_memory(piece: bytes) -> None:
    source = b'{"fs_hz": 500, "signal_mv": [' + piece * 300_000 + piece[:2] + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableRecord, match="lists and objects"):
            read(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(source)


def test_the_densest_json_of_samples_is_read() -> None:
    rows = b",".join([b"[0,0,0,0,0,0,0,0]"] * 5000)
    assert read(b'{"fs_hz":500,"signal_mv":[' + rows + b"]}").signal_mv.shape == (12, 5000)
