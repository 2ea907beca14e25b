"""NumPy ``.npy`` arrays. The header is read first, so that nothing is allocated that the file does not hold."""

from __future__ import annotations

import math
from hashlib import sha256
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import MalformedHeader, NoSamples, TruncatedFile
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import MAX_CHANNELS, check_samples
from ecg_ka.readers.matrix import lay_out, to_record
from ecg_ka.record import EcgRecord, Source

WHAT = "NumPy .npy (leads x samples, with fs_hz given)"

_MAGIC = b"\x93NUMPY"


def recognises(data: bytes) -> bool:
    """Whether these are the bytes of a ``.npy`` file."""
    return data.startswith(_MAGIC)


def read(files: Files, given: Given) -> EcgRecord:
    """A table of numbers, laid out as :func:`~ecg_ka.readers.matrix.lay_out` says, in the caller's unit or assumed mV.

    Raises:
        MalformedHeader: no table of plain numbers, or whole numbers without a unit.
        TruncatedFile, NoSamples, RecordTooLarge, MissingLeads, InvalidSamplingRate, NonFiniteSamples: as named.
    """
    table = _table(files.data)
    return to_record(
        lay_out(table, given.leads),
        fs_hz=given.sampling_rate(None),
        unit=given.unit(None),
        source=Source(format="NPY", sha256=sha256(files.data).hexdigest(), units_in="not stated"),
    )


def _table(data: bytes) -> NDArray[np.floating | np.integer]:
    stream = BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
        else:  # 3.0 differs in field names only, which a table of numbers does not have
            shape, by_columns, dtype = np.lib.format.read_array_header_2_0(stream)
    except Exception as error:  # noqa: BLE001 - numpy evaluates the header text and raises whatever its parts raise
        raise MalformedHeader(
            f"the .npy header cannot be read ({str(error)[:120]}). Save it with numpy.save."
        ) from None
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise MalformedHeader(f"a .npy of dtype {str(dtype)[:40]}; expected plain numbers of at most 64 bits")
    if not 1 <= len(shape) <= 2 or any(type(n) is not int or n < 0 for n in shape):
        raise MalformedHeader(f"a .npy of shape {str(shape)[:80]}; expected (leads, samples)")
    n_numbers = math.prod(shape)
    if n_numbers == 0:
        raise NoSamples(f"a .npy of shape {shape}; expected at least 5 s of ECG")
    check_samples(n_numbers)
    if len(shape) == 2 and min(shape) > MAX_CHANNELS:
        raise MalformedHeader(f"a .npy of shape {shape}; expected (leads, samples) with at most {MAX_CHANNELS} leads")
    start = stream.tell()
    if len(data) - start < n_numbers * dtype.itemsize:
        raise TruncatedFile(
            f"the .npy declares {n_numbers} numbers of {dtype.itemsize} bytes and holds {len(data) - start} bytes"
        )
    flat = np.frombuffer(data, dtype=dtype, count=n_numbers, offset=start)
    table: NDArray[np.floating | np.integer] = flat.reshape(shape, order="F" if by_columns else "C")
    return table
