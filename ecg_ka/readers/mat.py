"""MATLAB ``.mat`` files of version 5: one table of numbers among their variables.

Elements are walked and unpacked here, within the limits; cells, structures and objects are never looked into.
Format: MAT-File Format (The MathWorks), version 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import (
    InvalidSamplingRate,
    MalformedHeader,
    NoSamples,
    RecordTooLarge,
    TruncatedFile,
    UnreadableRecord,
)
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import MAX_CHANNELS, MAX_COMPRESSION_RATIO, MAX_INPUT_BYTES, check_bytes, check_samples
from ecg_ka.readers.matrix import lay_out, to_record
from ecg_ka.record import EcgRecord, Source

_HEADER = 128
_TEXT = b"MATLAB 5.0 MAT-file"
_NEWER = b"MATLAB 7.3 MAT-file"
_MATRIX, _COMPRESSED = 14, 15
_SAMPLE_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC = range(6, 16)  # array classes: double, single, integers
_COMPLEX_OR_LOGICAL = 0x0A00
_MAX_VARIABLES = 1000
_RATIO_MATTERS_FROM_BYTES = 1_000_000
_PREFERRED = "val"
_RATES = ("fs", "fs_hz")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Variable:
    """One variable; ``numbers`` is empty, with one axis, where it is no array of plain numbers."""

    name: str
    numbers: NDArray[np.floating | np.integer]

    @property
    def is_table(self) -> bool:
        """Whether it can be leads x samples: more numbers than a scalar and no more leads than any ECG."""
        return self.numbers.ndim == 2 and self.numbers.size > 1 and min(self.numbers.shape) <= MAX_CHANNELS


def recognises(data: bytes) -> bool:
    """Whether the text and the byte order mark of a version 5 header stand in front, or the text of version 7.3."""
    return data.startswith(_NEWER) or (data.startswith(_TEXT) and data[126:_HEADER] in (b"IM", b"MI"))


def read(files: Files, given: Given) -> EcgRecord:
    """The table named ``val``, or the only table, laid out as :func:`~ecg_ka.readers.matrix.lay_out` says.

    A scalar ``fs`` or ``fs_hz`` is the sampling rate that the file states; unit and lead names come from the caller.

    Raises:
        UnreadableRecord: version 7.3, which is HDF5, or damaged.
        MalformedHeader: no table, or several and none is ``val``.
        TruncatedFile, NoSamples, RecordTooLarge, MissingLeads, InvalidSamplingRate, NonFiniteSamples: as named.
    """
    data = files.data
    if data.startswith(_NEWER):
        raise UnreadableRecord("a MATLAB file of version 7.3 (HDF5); expected version 5. Save it with '-v7'.")
    order = "<" if data[126:_HEADER] == b"IM" else ">"
    variables = [_variable(element, order) for element in _elements(data, order)]
    table = _table(variables)
    rates = [v for v in variables if v.name.lower() in _RATES and v.numbers.size == 1]
    others = [variable.name for variable in variables if variable is not table and variable not in rates]
    return to_record(
        lay_out(table.numbers, given.leads),
        fs_hz=given.sampling_rate(_rate(rates)),
        unit=given.unit(None),
        source=Source(
            format="MAT",
            sha256=sha256(data).hexdigest(),
            units_in="not stated",
            notes=tuple(f"variable {name[:40]!r} was left out" for name in others),
        ),
    )


def _table(variables: Sequence[_Variable]) -> _Variable:
    tables = [variable for variable in variables if variable.is_table]
    preferred = [variable for variable in tables if variable.name == _PREFERRED]
    if len(preferred or tables) == 1:
        return (preferred or tables)[0]
    if any(variable.numbers.ndim == 2 and variable.numbers.size == 0 for variable in variables):
        raise NoSamples("the .mat file holds an empty table; expected at least 5 s of ECG")
    names = ", ".join(repr(variable.name[:20]) for variable in variables[:10]) or "none"
    raise MalformedHeader(
        f"{len(tables)} tables among the variables of the .mat file ({names}); expected one, or one "
        f"called {_PREFERRED!r}. Save only that."
    )


def _rate(rates: Sequence[_Variable]) -> float | None:
    values = {float(rate.numbers.flat[0]) for rate in rates}
    if len(values) > 1 or not all(math.isfinite(value) and value > 0 for value in values):
        raise InvalidSamplingRate(f"the sampling rate is {sorted(values)} in the .mat file; expected a positive number")
    return values.pop() if values else None


def _elements(data: bytes, order: str) -> Iterator[bytes]:
    """The top-level arrays, unpacked, without their tags."""
    position, room = _HEADER, MAX_INPUT_BYTES
    for _ in range(_MAX_VARIABLES):
        if position >= len(data):
            return
        kind, element, position = _element(data, position, order)
        if kind == _COMPRESSED:
            kind, element, _ = _element(_inflated(element, room), 0, order)
        room -= len(element)
        if kind != _MATRIX:
            raise MalformedHeader(f"an element of type {kind} in the .mat file; expected arrays. Save it again.")
        yield element
    raise RecordTooLarge(f"the .mat file holds more than {_MAX_VARIABLES} variables; expected one ECG")


def _element(data: bytes, position: int, order: str) -> tuple[int, bytes, int]:
    """Type and content of the element at ``position``, and where it ends; small ones hold 4 bytes in their tag."""
    if len(data) < position + 8:
        raise TruncatedFile("the .mat file ends within the tag of an element. Send the whole file.")
    kind, size = struct.unpack_from(f"{order}II", data, position)
    start = position + 8
    if kind >> 16:
        kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
    if size > (len(data) - start if start == position + 8 else 4):
        raise TruncatedFile(f"an element of {size} bytes in the .mat file ends early. Send the whole file.")
    return kind, data[start : start + size], position + 8 if start == position + 4 else start + size


def _inflated(packed: bytes, room: int) -> bytes:
    try:
        element = zlib.decompressobj().decompress(packed, room + 1)
    except zlib.error as error:
        raise UnreadableRecord(f"a compressed element of the .mat file is damaged: {str(error)[:80]}") from None
    check_bytes(len(element), room, "the unpacked .mat file")
    if len(element) > max(_RATIO_MATTERS_FROM_BYTES, MAX_COMPRESSION_RATIO * len(packed)):
        raise RecordTooLarge(f"the .mat file unpacks to {len(element) // len(packed)} times its size; no ECG does")
    return element


def _variable(element: bytes, order: str) -> _Variable:
    """A variable from the parts of its array: flags, shape, name and numbers."""
    _, flags, position = _element(element, 0, order)
    (word,) = struct.unpack_from(f"{order}I", flags) if len(flags) >= 4 else (0,)
    if word & 0xFF not in _NUMERIC or word & _COMPLEX_OR_LOGICAL:
        return _Variable(name="(no table of numbers)", numbers=np.empty(0))
    _, dimensions, position = _padded(element, position, order)
    _, name, position = _padded(element, position, order)
    kind, numbers, _ = _element(element, position, order)
    shape = tuple(int(n) for n in np.frombuffer(dimensions[: len(dimensions) // 4 * 4], f"{order}i4"))
    return _Variable(name=name.decode("latin-1"), numbers=_numbers(kind, numbers, shape, order))


def _padded(data: bytes, position: int, order: str) -> tuple[int, bytes, int]:
    """An element whose end is filled up to 8 bytes."""
    kind, content, end = _element(data, position, order)
    return kind, content, -(-end // 8) * 8


def _numbers(kind: int, content: bytes, shape: tuple[int, ...], order: str) -> NDArray[np.floating | np.integer]:
    """Numbers may be stored in a smaller type than that of the variable; columns come first."""
    n_numbers = math.prod(shape)
    check_samples(n_numbers)
    if kind not in _SAMPLE_TYPES or len(shape) < 2 or min(shape) < 0:
        raise MalformedHeader(f"a variable of type {kind} and shape {str(shape)[:60]} in the .mat file. Save it again.")
    dtype = np.dtype(order + _SAMPLE_TYPES[kind])
    if len(content) < n_numbers * dtype.itemsize:
        raise TruncatedFile(f"a variable of shape {str(shape)[:60]} in the .mat file holds {len(content)} bytes only")
    flat = np.frombuffer(content, dtype, count=n_numbers)
    numbers: NDArray[np.floating | np.integer] = flat.reshape(shape, order="F")
    return numbers
