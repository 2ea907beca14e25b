"""``.mat`` and ``.npz``: tables among other variables; what scipy and numpy write comes back."""

from __future__ import annotations

import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from ecg_ka import errors
from ecg_ka.readers import read
from tests.ecg_ka.writers import LEADS, counts_uv, mat, npy, npz, zipped

UV = counts_uv()
MV = UV * 1e-3


# MATLAB


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i4", "u2", "i8"])
def test_mat_of_every_type_and_both_ways_round(compressed: bool, dtype: str) -> None:
    table = UV if np.dtype(dtype).kind != "u" else np.abs(UV[:8])
    for variable in (table.astype(dtype), table.T.astype(dtype)):
        record = read(mat(compressed, ecg=variable), fs_hz=500, units="uV", leads=LEADS[: len(table)])
        np.testing.assert_allclose(record.signal_mv[: len(table)], table * 1e-3, atol=1e-6)


def test_mat_of_the_other_byte_order(tmp_path: Path) -> None:
    flags = struct.pack(">IIII", 6, 8, 6, 0)
    shape = struct.pack(">IIii", 5, 8, 12, 1000)
    name = struct.pack(">HH4s", 3, 1, b"val\0")
    array = flags + shape + name + struct.pack(">II", 9, 96_000) + MV.T.astype(">f8").tobytes()
    data = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + struct.pack(">II", 14, len(array)) + array
    (tmp_path / "a.mat").write_bytes(data)
    np.testing.assert_array_equal(scipy.io.loadmat(tmp_path / "a.mat")["val"], MV)
    np.testing.assert_allclose(read(data, fs_hz=500).signal_mv, MV, atol=1e-6)


def test_mat_which_table() -> None:
    other: dict[str, Any] = {
        "name": "Erika",
        "info": {"id": "SECRET-4711"},
        "cells": np.array([MV, 1], dtype=object),
        "age": 63,
        "is_ok": np.array([[True, False]]),
        "z": np.array([[1j, 2]]),
    }
    with pytest.raises(errors.MalformedHeader, match=r"text that was not read .*Pass leads"):
        read(mat(ecg=MV, fs=500.0, **other))
    record = read(mat(ecg=MV, fs=500.0, **other), leads=LEADS)
    assert record.fs_hz == 500
    np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)
    assert "variable 'age' was left out" in record.source.notes
    assert "4711" not in repr(record.source)
    assert read(mat(val=MV, more=MV * 2), fs_hz=500).lead("II")[7] == pytest.approx(MV[1, 7])
    with pytest.raises(errors.MalformedHeader, match=r"2 tables.*'ecg', 'more'"):
        read(mat(ecg=MV, more=MV), fs_hz=500)


def test_mat_states_no_more_than_it_states() -> None:
    with pytest.raises(errors.InvalidSamplingRate, match="Pass fs_hz"):
        read(mat(val=MV))
    with pytest.raises(errors.InvalidSamplingRate, match="states 500 Hz"):
        read(mat(val=MV, Fs=500), fs_hz=250)
    with pytest.raises(errors.MalformedHeader, match="Pass units"):
        read(mat(val=UV), fs_hz=500)
    assert read(mat(val=MV), fs_hz=500).source.units_assumed


CHEST_FIRST = [*LEADS[6:], "I", "II"]
TABLE = MV[[LEADS.index(lead) for lead in CHEST_FIRST]]
CELLS = np.array(CHEST_FIRST, dtype=object)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["leads", "Lead_Names", "channels", "channelNames", "sig_name", "labels", "ch_names"])
@pytest.mark.parametrize("names", [CHEST_FIRST, CELLS, CELLS[:, np.newaxis]], ids=["characters", "row", "column"])
def test_mat_lead_names_are_read_whatever_they_are_called(names: Any, name: str, compressed: bool) -> None:
    data = mat(compressed, val=TABLE, fs=500, **{name: names})
    np.testing.assert_allclose(
        read(data).signal_mv, MV, atol=6e-4
    )  # III and the augmented leads follow from whole microvolts
    np.testing.assert_allclose(read(data, leads=CHEST_FIRST).signal_mv, MV, atol=6e-4)
    with pytest.raises(errors.MalformedHeader, match="Leave leads out"):
        read(data, leads=CHEST_FIRST[::-1])


UNCLEAR: dict[str, Any] = {
    "a number": 12,
    "numbers": np.arange(12),
    "a structure": {"name": "I"},
    "cells of numbers": np.array([1, "II"], dtype=object),
    "cells of cells": np.array([CELLS, "II"], dtype=object),
    "a logical": np.array([[True]]),
    "nothing": np.zeros((0, 0)),
    "65 texts": np.array(["I"] * 65, dtype=object),
    "a long text": "x" * 20_000,
}


@pytest.mark.parametrize("name", ["leads", "units", "fs"])
@pytest.mark.parametrize("kind", UNCLEAR)
def test_mat_facts_that_are_not_understood_are_refused(kind: str, name: str) -> None:
    value = "500" if name == "fs" and kind == "a number" else UNCLEAR[kind]
    with pytest.raises((errors.MalformedHeader, errors.InvalidSamplingRate), match=f"'{name}'|12 numbers"):
        read(mat(True, val=MV, **{name: value}), fs_hz=500, units="mV", leads=LEADS)


@pytest.mark.parametrize("name", ["unit", "Units", "sig_units"])
@pytest.mark.parametrize("unit", ["uV", "\u00b5V", np.array(["uV"] * 12, dtype=object)], ids=["uV", "micro", "cells"])
def test_mat_unit_is_read(name: str, unit: Any) -> None:
    data = mat(True, val=UV, fs=500, **{name: unit})
    np.testing.assert_allclose(read(data).signal_mv, MV, atol=1e-6)
    with pytest.raises(errors.MalformedHeader, match="states uV"):
        read(data, units="mV")


@pytest.mark.parametrize("units", ["furlongs", "", np.array(["uV", "mV"], dtype=object)], ids=["odd", "none", "two"])
def test_mat_units_that_are_unknown_or_two_are_refused(units: Any) -> None:
    with pytest.raises(errors.MalformedHeader, match="units"):
        read(mat(val=UV, units=units), fs_hz=500, units="uV")


RATE_NAMES = ["Fs", "FS_Hz", "freq", "sfreq", "sampling_rate", "SamplingRate", "sample_rate", "samplingFrequency"]


@pytest.mark.parametrize("name", RATE_NAMES)
@pytest.mark.parametrize("write", [mat, npz])
def test_rates_are_read_whatever_they_are_called(write: Any, name: str) -> None:
    data = write(**{"val" if write is mat else "signal": MV, name: 250})
    assert read(data).fs_hz == 250
    with pytest.raises(errors.InvalidSamplingRate, match="states 250 Hz"):
        read(data, fs_hz=500)
    with pytest.raises(errors.InvalidSamplingRate, match=r"250\.0, 500\.0"):
        read(write(**{"val" if write is mat else "signal": MV, name: 250, "samp_rate": 500}))


def test_heart_rates_are_no_sampling_rates() -> None:
    assert read(mat(val=MV, heart_rate=72, rate=70), fs_hz=500).fs_hz == 500


def test_mat_of_many_axes_is_left_out_at_once() -> None:
    shapes = [(1,) * 65, (2**31 - 1,) * 1000, (2**31 - 1,) * 400_000]
    for shape in shapes:
        started = time.perf_counter()
        with pytest.raises(errors.MalformedHeader, match="0 tables"):
            read(_array(shape=shape), fs_hz=500)
        assert time.perf_counter() - started < 1
    beside = _array(shape=(1,) * 65).replace(b"val\0", b"odd\0")
    assert read(beside + PLAIN[128:], fs_hz=500).source.notes[0] == "variable 'odd' was left out"


def _bomb(n: int) -> bytes:
    packed = zlib.compress(struct.pack("<II", 14, n) + bytes(n), 9)
    return mat(val=MV)[:128] + struct.pack("<II", 15, len(packed)) + packed


def _array(flags: int = 6, shape: tuple[int, ...] = (12, 10), kind: int = 9, size: int = 960) -> bytes:
    dimensions = struct.pack(f"<{len(shape)}i", *shape)
    array = struct.pack("<IIII", 6, 8, flags, 0) + struct.pack("<II", 5, len(dimensions)) + dimensions
    array += bytes(-len(dimensions) % 8) + struct.pack("<HH4s", 1, 3, b"val\0") + struct.pack("<II", kind, size)
    array += bytes(960)
    return mat(val=MV)[:128] + struct.pack("<II", 14, len(array)) + array


PLAIN = mat(compressed=False, val=MV)
MAT_HOSTILE: dict[str, tuple[bytes, type[errors.EcgError]]] = {
    "version 7.3": (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF", errors.UnreadableRecord),
    "cut": (PLAIN[:-1], errors.TruncatedFile),
    "cut and packed": (mat(val=MV)[:-1], errors.TruncatedFile),
    "cut in a tag": (PLAIN[:132], errors.TruncatedFile),
    "no variable": (PLAIN[:128], errors.MalformedHeader),
    "no table": (mat(a=1, b="text"), errors.MalformedHeader),
    "an empty table": (mat(val=np.zeros((12, 0))), errors.NoSamples),
    "three axes": (mat(val=np.zeros((2, 12, 10))), errors.MalformedHeader),
    "complex": (mat(val=MV * 1j), errors.MalformedHeader),
    "nan": (mat(val=np.full((12, 10), np.nan)), errors.NonFiniteSamples),
    "damaged and packed": (mat(val=MV)[:300] + bytes(30) + mat(val=MV)[330:], errors.UnreadableRecord),
    "20 MB of nothing": (_bomb(19_000_000), errors.RecordTooLarge),
    "1 GB of nothing": (_bomb(300_000_000), errors.RecordTooLarge),
    "an element of 4 GB": (PLAIN[:132] + b"\xff\xff\xff\xff" + PLAIN[136:], errors.TruncatedFile),
    "not an array": (PLAIN[:128] + struct.pack("<II", 9, 8) + bytes(8), errors.MalformedHeader),
    "a shape of 10**14": (_array(shape=(12, 2**31 - 1)), errors.RecordTooLarge),
    "a negative shape": (_array(shape=(12, -10)), errors.MalformedHeader),
    "two negatives": (_array(shape=(-12, -10)), errors.MalformedHeader),
    "no shape": (_array(shape=()), errors.MalformedHeader),
    "more numbers than there are": (_array(shape=(12, 11)), errors.TruncatedFile),
    "an unknown type": (_array(kind=99), errors.MalformedHeader),
    "a thousand empty variables": (PLAIN[:128] + struct.pack("<II", 14, 0) * 1001, errors.TruncatedFile),
    "fs of 0": (mat(val=MV, fs=0.0), errors.InvalidSamplingRate),
    "fs of nan": (mat(val=MV, fs=np.nan), errors.InvalidSamplingRate),
    "two rates": (mat(val=MV, fs=500, fs_hz=250), errors.InvalidSamplingRate),
}


@pytest.mark.parametrize("name", MAT_HOSTILE)
def test_mat_that_lies_is_refused_by_name(name: str) -> None:
    data, error = MAT_HOSTILE[name]
    with pytest.raises(errors.EcgError) as caught:
        read(data, fs_hz=None if "fs" in name or "rates" in name else 500, units=None)
    assert caught.type is error, caught.value


# npz


def test_npz_of_one_array_is_that_array() -> None:
    record = read(npz(anything=MV), fs_hz=500)
    np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)


@pytest.mark.parametrize("names", [np.array(LEADS), np.array(LEADS, dtype="S3")])
def test_npz_states_its_facts(names: Any, tmp_path: Path) -> None:
    order = np.arange(12)[::-1]
    data = npz(signal_uv=UV[order], fs=np.array(500), leads=names[order], label=np.array([1]))
    record = read(data)
    assert (record.leads, record.fs_hz, record.source.format) == (LEADS, 500, "NPZ")
    np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)
    assert record.source.notes == ("array 'label.npy' was left out",)
    assert not record.source.units_assumed
    (tmp_path / "x.npz").write_bytes(data)
    assert read(tmp_path / "x.npz").source.sha256 == record.source.sha256


def test_npz_is_not_overruled_and_its_facts_are_part_of_its_identity() -> None:
    with pytest.raises(errors.InvalidSamplingRate, match="states 500"):
        read(npz(signal=MV, fs_hz=500), fs_hz=250)
    with pytest.raises(errors.MalformedHeader, match="states uV"):
        read(npz(signal_uv=UV, fs_hz=500), units="mV")
    assert read(npz(signal=MV, fs=500)).source.sha256 != read(npz(signal=MV, fs=250)).source.sha256


@pytest.mark.parametrize("name", ["lead_names", "channels", "ChannelNames", "sig_name", "labels"])
def test_npz_lead_names_and_units_are_read_whatever_they_are_called(name: str) -> None:
    data = npz(signal=TABLE * 1e3, fs=500, units="uV", **{name: CHEST_FIRST})
    record = read(data)
    np.testing.assert_allclose(record.signal_mv, MV, atol=6e-4)
    assert (record.source.units_in, record.source.notes) == ("uV", ())
    with pytest.raises(errors.MalformedHeader, match="states uV"):
        read(data, units="mV")
    with pytest.raises(errors.MalformedHeader, match="Leave leads out"):
        read(data, leads=LEADS[:8])
    with pytest.raises(errors.MalformedHeader, match="differing"):
        read(npz(signal=TABLE, fs=500, leads=CHEST_FIRST[::-1], **{name: CHEST_FIRST}))


def test_npz_with_text_that_was_not_read_needs_leads() -> None:
    data = npz(signal=MV, fs=500, remark="chest leads first")
    with pytest.raises(errors.MalformedHeader, match=r"'remark'.*Pass leads"):
        read(data)
    np.testing.assert_allclose(read(data, leads=LEADS).signal_mv, MV, atol=1e-6)


NPZ_HOSTILE: dict[str, tuple[bytes, type[errors.EcgError]]] = {
    "two signals": (npz(signal=MV, signal_uv=UV, fs=500), errors.UnreadableRecord),
    "two arrays of no known name": (npz(a=MV, b=MV), errors.UnreadableRecord),
    "two units": (npz(signal_uv=UV, fs=500, units="mV"), errors.MalformedHeader),
    "a unit for each lead": (npz(signal=UV, fs=500, units=["uV", "mV"] * 6), errors.MalformedHeader),
    "an unknown unit": (npz(signal=UV, fs=500, unit="adu"), errors.MalformedHeader),
    "65 names": (npz(signal=MV, fs=500, channels=["I"] * 65), errors.MalformedHeader),
    "two rates": (npz(signal=MV, fs=500, fs_hz=250), errors.InvalidSamplingRate),
    "a rate of 0": (npz(signal=MV, fs=0), errors.InvalidSamplingRate),
    "a rate of many": (npz(signal=MV, fs=[500, 250]), errors.InvalidSamplingRate),
    "a rate in words": (npz(signal=MV, fs="500"), errors.MalformedHeader),
    "no rate": (npz(signal=MV, leads=LEADS), errors.InvalidSamplingRate),
    "numbers for names": (npz(signal=MV, fs=500, leads=range(12)), errors.MalformedHeader),
    "eleven names": (npz(signal=MV, fs=500, leads=LEADS[:11]), errors.MissingLeads),
    "names in a square": (npz(signal=MV, fs=500, leads=np.array(LEADS).reshape(3, 4)), errors.MalformedHeader),
    "long names": (npz(signal=MV, fs=500, leads=["x" * 1000] * 12), errors.MalformedHeader),
    "objects": (
        zipped({"signal.npy": npy(MV), "leads.npy": npy(np.array(LEADS)).replace(b"'<U3'", b"'|O' ")}),
        errors.MalformedHeader,
    ),
}


@pytest.mark.parametrize("name", NPZ_HOSTILE)
def test_npz_that_lies_is_refused_by_name(name: str) -> None:
    data, error = NPZ_HOSTILE[name]
    with pytest.raises(errors.EcgError) as caught:
        read(data)
    assert caught.type is error, caught.value
