"""NumPy arrays: ``.npy``, and ``.npz``, which is a zip of them.

The header is read first, so that nothing is allocated that the file does not hold. ``signal.npy`` (or
``signal_mv.npy``, ``signal_uv.npy``) is read with what stands beside it in an ``.npz`` or a folder: arrays whose names
say that they hold the sampling rate, the unit or the lead names (``fs``, ``units``, ``leads`` and their like).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import MalformedHeader, NoSamples, TruncatedFile
from ecg_ka.readers.facts import RATE, Facts, Value, role
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import MAX_CHANNELS, check_samples
from ecg_ka.readers.matrix import lay_out, to_record
from ecg_ka.record import EcgRecord, Source

_MAGIC = b"\x93NUMPY"
_SIGNALS = {"signal.npy": None, "signal_mv.npy": "mV", "signal_uv.npy": "uV"}
_LONGEST_TEXT = 256  # bytes
_NEVER_TEXT = "biufcmM"
_EXPECTED = {"iuf": "plain numbers of at most 64 bits", "US": "short names"}


def recognises(data: bytes) -> bool:
    """Whether these are the bytes of a ``.npy`` file."""
    return data.startswith(_MAGIC)


def companions(contents: Mapping[str, bytes]) -> set[str]:
    """The arrays beside the one that is called a signal."""
    arrays = {name for name, data in contents.items() if recognises(data)}
    signals = arrays & set(_SIGNALS)
    return arrays - signals if len(signals) == 1 else set()


def read(files: Files, given: Given) -> EcgRecord:
    """A table of numbers, laid out as :func:`~ecg_ka.readers.matrix.lay_out` says, in the caller's unit or assumed mV.

    Raises:
        MalformedHeader: no table of plain numbers, whole numbers without a unit, or as :class:`Facts`.
        TruncatedFile, NoSamples, RecordTooLarge, MissingLeads, InvalidSamplingRate, NonFiniteSamples: as named.
    """
    beside = {name.removesuffix(".npy"): files.contents[name] for name in sorted(companions(files.contents))}
    used = {name: data for name, data in beside.items() if role(name) is not None}
    others = {name: data for name, data in beside.items() if name not in used}
    facts = Facts.stated((name, _value(name, data)) for name, data in used.items())
    unit = _SIGNALS.get(files.primary)
    if None not in (unit, facts.unit) and unit != facts.unit:
        raise MalformedHeader(f"{files.primary} beside a unit of {facts.unit}; expected one unit. Mend the file.")
    unread = [name for name, data in others.items() if _header(data)[2].kind not in _NEVER_TEXT]
    return to_record(
        lay_out(_table(files.data), facts.leads(given, unread)),
        fs_hz=given.sampling_rate(facts.fs_hz),
        unit=given.unit(unit or facts.unit),
        source=Source(
            format="NPZ" if beside else "NPY",
            sha256=sha256(b"".join([files.data, *used.values()])).hexdigest(),
            units_in="not stated",
            notes=tuple(f"array {f'{name}.npy'[:40]!r} was left out" for name in others),
        ),
    )


def _value(name: str, data: bytes) -> Value:
    """Numbers for a sampling rate, else texts."""
    if role(name) == RATE:
        return _array(data, "iuf")
    texts = _array(data, "US")
    if texts.ndim > 1:
        raise MalformedHeader(f"{name[:40]!r} has the shape {texts.shape}; expected one text, or one a lead")
    return tuple(
        text.decode("latin-1") if isinstance(text, bytes) else str(text) for text in texts.ravel()[: MAX_CHANNELS + 1]
    )


def _table(data: bytes) -> NDArray[np.floating | np.integer]:
    table = _array(data, "iuf")
    if not 1 <= table.ndim <= 2:
        raise MalformedHeader(f"a .npy of shape {str(table.shape)[:80]}; expected (leads, samples)")
    if table.ndim == 2 and min(table.shape) > MAX_CHANNELS:
        raise MalformedHeader(
            f"a .npy of shape {table.shape}; expected (leads, samples) with at most {MAX_CHANNELS} leads"
        )
    return table


def _array(data: bytes, kinds: str) -> NDArray[Any]:
    """The array of a ``.npy`` file, of plain numbers (kinds "iuf") or text ("US"), and never empty."""
    shape, by_columns, dtype, start = _header(data)
    if dtype.kind not in kinds or not 1 <= dtype.itemsize <= (8 if kinds == "iuf" else _LONGEST_TEXT):
        raise MalformedHeader(f"a .npy of dtype {str(dtype)[:40]}; expected {_EXPECTED[kinds]}")
    if len(shape) > 2 or any(type(n) is not int or n < 0 for n in shape):
        raise MalformedHeader(f"a .npy of shape {str(shape)[:80]}; expected (leads, samples)")
    n_items = math.prod(shape)
    if n_items == 0:
        raise NoSamples(f"a .npy of shape {shape}; expected at least 5 s of ECG")
    check_samples(n_items)
    if len(data) - start < n_items * dtype.itemsize:
        raise TruncatedFile(
            f"the .npy declares {n_items} items of {dtype.itemsize} bytes and holds {len(data) - start} bytes"
        )
    flat = np.frombuffer(data, dtype=dtype, count=n_items, offset=start)
    return flat.reshape(shape, order="F" if by_columns else "C")


def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether columns come first, type, and where the items begin."""
    stream = BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            header = np.lib.format.read_array_header_1_0(stream)
        else:  # 3.0 differs in field names only, which a plain array does not have
            header = np.lib.format.read_array_header_2_0(stream)
    except Exception:  # noqa: BLE001 - numpy evaluates the header text and raises whatever its parts raise
        raise MalformedHeader(
            "the .npy header cannot be read; expected shape, order and type as numpy.save writes them"
        ) from None
    return *header, stream.tell()
