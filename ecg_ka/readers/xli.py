"""XLI, the compression of Philips Sierra XML: chunks of LZW, in them second differences, in them the limb leads.

Found out by C. Watford (sierra-ecg-tools). A chunk is one lead: its size (32 bits), a code (16), the first bend of the
curve (16), then LZW in codes of 10 bits; in that the high bytes of all values and then their low bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import TruncatedFile, UnreadableRecord

_HEADER_BYTES = 8
_LAST_CODE = 1022
"""1023 is the end mark. The table is full when it holds this code."""

_ZERO_BEND = 64


def decode(data: bytes, n_leads: int, n_samples: int, place: str) -> NDArray[np.int64]:
    """Samples (n_leads, n_samples) of the first chunks as they stand in the file: limb leads as differences.

    No more is unpacked than ``n_samples`` take, whatever the data hold.

    Raises:
        TruncatedFile: fewer leads or samples.
        UnreadableRecord: no XLI, or more samples.
    """
    leads, at = np.empty((n_leads, n_samples), dtype=np.int64), 0
    for lead in range(n_leads):
        header = data[at : at + _HEADER_BYTES]
        size = int.from_bytes(header[:4], "little")
        chunk = data[at + _HEADER_BYTES : at + _HEADER_BYTES + size]
        if len(header) < _HEADER_BYTES or len(chunk) < size:
            raise TruncatedFile(f"{place}: the XLI data end within lead {lead + 1} of {n_leads}. Send the whole file.")
        values = _unpack(chunk, 2 * n_samples, f"{place}, XLI lead {lead + 1}")
        leads[lead] = _unbend(values, int.from_bytes(header[6:], "little", signed=True))
        at += _HEADER_BYTES + size
    return leads


def restore_limb_leads(leads: NDArray[np.int64]) -> None:
    """III, aVR, aVL and aVF, rows 2 to 5 of (12, n), from their differences to what I and II predict; in place."""
    i, ii, iii, avr, avl, avf = leads[:6]
    iii[:] = ii - i - iii
    avr[:] = -avr - (i + ii) // 2
    avl[:] = (i - iii) // 2 - avl
    avf[:] = (ii + iii) // 2 - avf


def _unpack(chunk: bytes, n_bytes: int, place: str) -> NDArray[np.int64]:
    """The 16-bit values of a chunk: LZW (Welch 1984), not reset when the table is full."""
    words = [bytes((value,)) for value in range(256)]
    unpacked, previous = bytearray(), b""
    for code in _codes(chunk[: 2 * n_bytes]):
        if code > _LAST_CODE or len(unpacked) > n_bytes:
            break
        if code < len(words):
            word = words[code]
        elif previous and code == len(words):
            word = previous + previous[:1]
        else:
            raise UnreadableRecord(f"{place}: code {code} before it has a meaning; the file is damaged")
        if previous and len(words) <= _LAST_CODE:
            words.append(previous + word[:1])
        unpacked += word
        previous = word
    if len(unpacked) != n_bytes:
        kind = TruncatedFile if len(unpacked) < n_bytes else UnreadableRecord
        raise kind(f"{place}: {len(unpacked)} bytes or more; expected {n_bytes} for the duration that is stated")
    high, low = np.frombuffer(unpacked, dtype=np.uint8).reshape(2, -1).astype(np.uint16)
    return (high << 8 | low).view(np.int16).astype(np.int64)


def _codes(chunk: bytes) -> list[int]:
    """Codes of 10 bits, the first bit first: four in five bytes."""
    a, b, c, d, e = np.frombuffer(chunk + bytes(-len(chunk) % 5), dtype=np.uint8).reshape(-1, 5).T.astype(np.uint16)
    codes = (a << 2 | b >> 6, (b & 0x3F) << 4 | c >> 4, (c & 0xF) << 6 | d >> 2, (d & 3) << 8 | e)
    whole: list[int] = np.stack(codes, axis=1).reshape(-1)[: len(chunk) * 8 // 10].tolist()
    return whole


def _unbend(values: NDArray[np.int64], first_bend: int) -> NDArray[np.int64]:
    """Samples from two first ones and the second differences after them, each stored one sample late."""
    if values.size < 3:
        return values
    bends = np.concatenate(([values[1] - values[0], -first_bend], _ZERO_BEND - values[2:-1]))
    samples: NDArray[np.int64] = values[0] + np.concatenate(([0], np.cumsum(np.cumsum(bends))))
    return samples
