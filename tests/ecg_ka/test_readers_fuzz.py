"""Damaged files of every format: only errors of ours come out, quickly, and within 512 MB."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecg_ka.errors import EcgError, UnreadableRecord
from ecg_ka.readers import read
from ecg_ka.record import EcgRecord
from tests.ecg_ka.writers import (
    LEADS,
    counts_uv,
    csv,
    dicom,
    dicom_group,
    edf,
    header,
    ishne,
    json_text,
    mat,
    npy,
    npz,
    scp,
    wfdb_pair,
    wfdb_stored,
    zipped,
)

UV = counts_uv(40)
SMALL: dict[str, Callable[[], bytes]] = {
    "dicom": lambda: dicom(dicom_group(UV)),
    "npy": lambda: npy(UV * 1e-3),
    "json": lambda: json_text(np.round(UV[:3] * 1e-3, 3)),
    "csv": lambda: csv(np.round(UV[:3] * 1e-3, 3), time="time_s"),
    "header": lambda: header(record="a 12 500 40"),
    "zip": lambda: zipped(wfdb_pair(UV)),
    "scp": lambda: scp(UV, checksums=False),
    "scp, packed": lambda: scp(UV, packed=True, checksums=False),
    "edf": lambda: edf(UV, data_record_duration=0.08),
    "ishne": lambda: ishne(UV),
    "mat": lambda: mat(compressed=False, val=UV[:8] * 1e-3),
    "mat, packed": lambda: mat(val=UV[:8] * 1e-3),
    "npz": lambda: npz(signal_uv=UV, fs=500, leads=LEADS),
}


@cache
def _small(kind: str) -> bytes:
    return SMALL[kind]()


@st.composite
def _damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes changed, taken out, doubled or cut off."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        until = at + draw(st.integers(0, 12))
        piece = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(
                    [b"", b"\x00" * 4, b"\xff" * 4, b"-1", b"0", b"1e400", b"nan", b"99999999999", b"\n", b"/"]
                ),
                st.just(data[at : until + 20] * 2),
            )
        )
        data = data[:at] + piece + data[until:]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


def _read_or_refuse(source: bytes | dict[str, bytes]) -> None:
    for fs_hz in (None, 500.0):
        result: EcgRecord | EcgError
        try:
            result = read(source, fs_hz=fs_hz)
        except EcgError as error:
            result = error
        if isinstance(result, EcgRecord):
            assert np.isfinite(result.signal_mv).all()
        else:
            assert 20 < len(str(result)) < 700


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind != "header"])
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_files(kind: str, data: st.DataObject) -> None:
    _read_or_refuse(data.draw(_damaged(_small(kind))))


@pytest.mark.parametrize("storage", ["16", "212", "310", "516"])
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_headers(storage: str, data: st.DataObject) -> None:
    text = _small("header").replace(b" 16 1000", f" {storage} 1000".encode())
    samples = wfdb_stored(UV, "310") + bytes(data.draw(st.integers(0, 100)))
    _read_or_refuse({"a.hea": data.draw(_damaged(text)), "a.dat": samples})


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_headers_of_segments(data: st.DataObject) -> None:
    whole = b"m/3 12 500 90\na 40\n~ 10\na 40\n"
    damaged = data.draw(_damaged(whole if data.draw(st.booleans()) else whole.replace(b"~ 10\n", b"b 10\n")))
    part = _small("header").replace(b"a 12 500 40", b"a 12 500")
    _read_or_refuse({"m.hea": damaged, "a.hea": part, "a.dat": UV.T.astype("<i2").tobytes()})


def _loud(storage: str, n: int) -> bytes:
    return header(LEADS[:8], record=f"a 8 20000 {n}", storage=storage)


def _flac(n: int) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros((n, 8), np.int16), 8000, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def _segment(n: int) -> dict[str, bytes]:
    return {"a.hea": header(record=f"a 12 20000 {n}"), "a.dat": bytes(24 * n)}


LARGEST: dict[str, Callable[[], bytes | dict[str, bytes]]] = {
    "npy": lambda: npy(np.zeros((8, 2_490_000), np.int8)),
    "format 8": lambda: {"a.hea": _loud("8", 2_480_000), "a.dat": bytes(19_840_000)},
    "format 80": lambda: {"a.hea": _loud("80", 2_480_000), "a.dat": b"\x80" * 19_840_000},
    "format 212": lambda: {"a.hea": _loud("212", 1_660_000), "a.dat": bytes(19_920_000)},
    "format 516, packed to 100 kB": lambda: {"a.hea": _loud("516", 2_400_000), "a.dat": _flac(2_400_000)},
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
