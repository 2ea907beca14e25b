"""MATLAB ``.mat`` files of version 5: one table of numbers among their variables.

Elements are walked and unpacked here, within the limits. Text, and cells of text, is read only where the name of its
variable says that it is the unit or the lead names; structures and objects are never looked into.
Format: MAT-File Format (The MathWorks), version 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import (
    MalformedHeader,
    NoSamples,
    RecordTooLarge,
    TruncatedFile,
    UnreadableRecord,
)
from ecg_ka.readers.facts import Facts, Value, role
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
_TEXT_CODES = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _CHAR, _SPARSE, _NUMERIC, _OPAQUE = 1, 4, 5, range(6, 16), 17  # array classes; numeric: double to integers
_COMPLEX_OR_LOGICAL = 0x0A00
_MAX_VARIABLES = 1000
_RATIO_MATTERS_FROM_BYTES = 1_000_000
_PREFERRED = "val"
_LONGEST_TEXT = 256 * MAX_CHANNELS  # bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Variable:
    """One variable; ``numbers`` is empty, with one axis, where it is no table of plain numbers; ``texts`` is None
    where it is no text or was not read."""

    name: str
    array_class: int
    numbers: NDArray[np.floating | np.integer]
    texts: tuple[str, ...] | None = None

    @property
    def value(self) -> Value:
        """What it states."""
        return self.numbers if self.texts is None and self.numbers.ndim == 2 else self.texts

    @property
    def may_hold_text(self) -> bool:
        """Whether it is no array of numbers: text, cells, a structure or an object."""
        return self.array_class not in (_SPARSE, *_NUMERIC)

    @property
    def is_table(self) -> bool:
        """Whether it can be leads x samples: more numbers than a scalar and no more leads than any ECG."""
        return self.numbers.ndim == 2 and self.numbers.size > 1 and min(self.numbers.shape) <= MAX_CHANNELS


def recognises(data: bytes) -> bool:
    """Whether the text and the byte order mark of a version 5 header stand in front, or the text of version 7.3."""
    return data.startswith(_NEWER) or (data.startswith(_TEXT) and data[126:_HEADER] in (b"IM", b"MI"))


def read(files: Files, given: Given) -> EcgRecord:
    """The table named ``val``, or the only table, laid out as :func:`~ecg_ka.readers.matrix.lay_out` says.

    Variables that are called as sampling rates, units or lead names are (``fs``, ``units``, ``leads`` and their like,
    see :func:`~ecg_ka.readers.facts.role`) state these facts; the caller says what they do not.

    Raises:
        UnreadableRecord: version 7.3, which is HDF5, or damaged.
        MalformedHeader: no table, or several and none is ``val``; or as :class:`~ecg_ka.readers.facts.Facts`.
        TruncatedFile, NoSamples, RecordTooLarge, MissingLeads, InvalidSamplingRate, NonFiniteSamples: as named.
    """
    data = files.data
    if data.startswith(_NEWER):
        raise UnreadableRecord("a MATLAB file of version 7.3 (HDF5); expected version 5. Save it with '-v7'.")
    order = "<" if data[126:_HEADER] == b"IM" else ">"
    variables = [_variable(element, order) for element in _elements(data, order)]
    table = _table(variables)
    beside = [variable for variable in variables if variable is not table]
    facts = Facts.stated((variable.name, variable.value) for variable in beside)
    others = [variable for variable in beside if role(variable.name) is None]
    return to_record(
        lay_out(table.numbers, facts.leads(given, [other.name for other in others if other.may_hold_text])),
        fs_hz=given.sampling_rate(facts.fs_hz),
        unit=given.unit(facts.unit),
        source=Source(
            format="MAT",
            sha256=sha256(data).hexdigest(),
            units_in="not stated",
            notes=tuple(f"variable {other.name[:40]!r} was left out" for other in others),
        ),
    )


def _table(variables: Sequence[_Variable]) -> _Variable:
    tables = [variable for variable in variables if variable.is_table]
    tables = [table for table in tables if role(table.name) is None] or tables
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
    """A variable from the parts of its array: flags, shape, name and content."""
    _, flags, position = _element(element, 0, order)
    (word,) = struct.unpack_from(f"{order}I", flags) if len(flags) >= 4 else (0,)
    array_class = word & 0xFF
    dimensions = b""
    if array_class != _OPAQUE:
        _, dimensions, position = _padded(element, position, order)
    _, label, position = _padded(element, position, order)
    name = label.decode("latin-1")
    nothing = _Variable(name=name, array_class=array_class, numbers=np.empty(0))
    if len(dimensions) != 8:  # two axes; nothing is computed from more
        return nothing
    shape = struct.unpack(f"{order}ii", dimensions)
    if array_class in _NUMERIC and not word & _COMPLEX_OR_LOGICAL:
        kind, content, _ = _element(element, position, order)
        return replace(nothing, numbers=_numbers(kind, content, shape, order))
    if role(name) is None:
        return nothing
    if array_class == _CHAR:
        kind, content, _ = _element(element, position, order)
        return replace(nothing, texts=_rows(kind, content, shape, order))
    return replace(nothing, texts=_cells(element, position, shape, order)) if array_class == _CELL else nothing


def _rows(kind: int, content: bytes, shape: tuple[int, int], order: str) -> tuple[str, ...] | None:
    """The rows of an array of characters, whose columns come first; None where they cannot be read."""
    n_rows, n_columns = shape
    if kind not in _TEXT_CODES or len(content) > _LONGEST_TEXT or not 0 < n_rows <= MAX_CHANNELS:
        return None
    codec = _TEXT_CODES[kind] + ("-le" if order == "<" else "-be") * (kind in (4, 17, 18))
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        return None
    return tuple(text[row::n_rows].strip(" \0") for row in range(n_rows)) if len(text) == n_rows * n_columns else None


def _cells(element: bytes, position: int, shape: tuple[int, int], order: str) -> tuple[str, ...] | None:
    """The texts in a row or column of cells; None where a cell holds anything else than one row of characters."""
    if min(shape) != 1 or max(shape) > MAX_CHANNELS:
        return None
    texts: list[str] = []
    for _ in range(max(shape)):
        _, cell, position = _padded(element, position, order)
        text = _cell(cell, order)
        if text is None:
            return None
        texts.append(text)
    return tuple(texts)


def _cell(cell: bytes, order: str) -> str | None:
    if not cell:  # as MATLAB writes []
        return None
    _, flags, position = _element(cell, 0, order)
    _, dimensions, position = _padded(cell, position, order)
    _, _, position = _padded(cell, position, order)
    if flags[:4] != struct.pack(f"{order}I", _CHAR) or len(dimensions) != 8:
        return None
    kind, content, _ = _element(cell, position, order)
    rows = _rows(kind, content, struct.unpack(f"{order}ii", dimensions), order)
    return rows[0] if rows is not None and len(rows) == 1 else None


def _padded(data: bytes, position: int, order: str) -> tuple[int, bytes, int]:
    """An element whose end is filled up to 8 bytes."""
    kind, content, end = _element(data, position, order)
    return kind, content, -(-end // 8) * 8


def _numbers(kind: int, content: bytes, shape: tuple[int, int], order: str) -> NDArray[np.floating | np.integer]:
    """Numbers may be stored in a smaller type than that of the variable; columns come first."""
    n_numbers = math.prod(shape)
    check_samples(n_numbers)
    if kind not in _SAMPLE_TYPES or min(shape) < 0:
        raise MalformedHeader(f"a variable of type {kind} and shape {shape} in the .mat file. Save it again.")
    dtype = np.dtype(order + _SAMPLE_TYPES[kind])
    if len(content) < n_numbers * dtype.itemsize:
        raise TruncatedFile(f"a variable of shape {shape} in the .mat file holds {len(content)} bytes only")
    flat = np.frombuffer(content, dtype, count=n_numbers)
    numbers: NDArray[np.floating | np.integer] = flat.reshape(shape, order="F")
    return numbers
