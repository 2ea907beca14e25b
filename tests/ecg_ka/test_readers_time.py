"""No small file keeps a reader busy: what is searched is short, whatever the file holds."""

from __future__ import annotations

import io
import struct
import time

import numpy as np
import pytest

from ecg_ka.errors import EcgError, MalformedHeader
from ecg_ka.readers import dicom, read, wfdb_header
from ecg_ka.record import Source

HEADER = b"r 1 500 5000\nr.dat 16 1000/mV 16 0 0 0 0 II\n"


@pytest.mark.parametrize(
    "data",
    [
        HEADER + b"#age" + b" " * 900_000 + b"x\n",
        b"_" * 60_000 + b"((,II,I\n0,1,2\n",
        b"time," + b" " * 60_000 + b"(,II,I\n0,1,2\n",
    ],
)
def test_a_long_word_takes_no_long_time(data: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(EcgError):
        read(data)
    assert time.monotonic() - started < 1.0


def test_a_dicom_word_of_brackets_takes_no_long_time() -> None:
    started = time.monotonic()
    assert dicom._known_lead("(" * 1_000_000) is None
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize(("comment", "age"), [("#Age: 7y", 7), ("#Age: 7yrs", 7), ("# age: 81", 81), ("#Age: 0", 0)])
def test_the_age_of_a_child_is_understood(comment: str, age: float) -> None:
    assert wfdb_header.parse(HEADER + comment.encode() + b"\n").age_years == age


def test_a_shape_of_truth_values_is_no_shape() -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2500), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(10_000)
    with pytest.raises(MalformedHeader):
        read(data, fs_hz=500, units="mV")


def test_a_numpy_file_is_read_all_the_same() -> None:
    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).normal(size=(8, 2500)).astype(np.float32))
    assert isinstance(read(stream.getvalue(), fs_hz=500, units="mV").source, Source)
