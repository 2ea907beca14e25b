"""WFDB signal files to samples: the plain formats directly, the packed ones through the wfdb package.

That package opens files by name, so it gets a private folder with a header written here from checked numbers only.
Formats: signal(5) of the WFDB Applications Guide (MIT-LCP).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import MalformedHeader, TruncatedFile, UnreadableRecord
from ecg_ka.readers.limits import check_samples
from ecg_ka.readers.private import private_folder
from ecg_ka.readers.wfdb_header import Signal

_PLAIN = {16: ("<i2", 0), 32: ("<i4", 0), 61: (">i2", 0), 80: ("u1", 2**7), 160: ("<u2", 2**15)}
"""Number type and the value that stands for zero."""

_BYTES_IN_GROUP = {8: (1, 1), 16: (2, 1), 24: (3, 1), 32: (4, 1), 61: (2, 1), 80: (1, 1), 160: (2, 1)}
_BYTES_IN_GROUP |= {212: (3, 2), 310: (4, 3), 311: (4, 3)}
"""Bytes and samples of the smallest unit of storage."""

_BITS = {16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10, 508: 8, 516: 16, 524: 24}


def invalid_sample(storage: int) -> int | None:
    """The value that stands for "no sample" in a storage format: the lowest one. Format 8 has none."""
    return -(2 ** (_BITS[storage] - 1)) if storage in _BITS else None


def frames_held(signals: Sequence[Signal], data: bytes, declared: int | None) -> int:
    """Frames that can be read from the bytes of the file of ``signals``: ``declared`` where that is stated.

    Raises:
        TruncatedFile: the file is shorter than ``declared`` frames need.
        MalformedHeader: a compressed file of undeclared length.
    """
    storage, offset = signals[0].format, signals[0].byte_offset
    per_frame = sum(signal.samples_per_frame for signal in signals)
    if storage not in _BYTES_IN_GROUP:
        if declared is None:
            raise MalformedHeader("a compressed WFDB file of undeclared length; expected the number of samples")
        return declared
    n_bytes, n_samples = _BYTES_IN_GROUP[storage]
    available = max(0, len(data) - offset)
    if declared is None:
        return available // n_bytes * n_samples // per_frame
    needed = -(-declared * per_frame * n_bytes // n_samples)
    if available < needed:
        raise TruncatedFile(
            f"{signals[0].file!r} holds {available} bytes of samples and the WFDB header declares {needed}. "
            "Send the whole file."
        )
    return declared


def decode(signals: Sequence[Signal], data: bytes, n_frames: int) -> list[NDArray[np.integer]]:
    """The samples (n_frames * samples_per_frame,) of every signal of one file, in ADC units, as stored (not skewed).

    Raises:
        TruncatedFile: a compressed file ends early.
        UnreadableRecord: a compressed or packed file is damaged.
    """
    check_samples(n_frames * sum(signal.samples_per_frame for signal in signals))
    if signals[0].format in _PLAIN:
        return _plain(signals, data, n_frames)
    return _packed(signals, data, n_frames)


def _plain(signals: Sequence[Signal], data: bytes, n_frames: int) -> list[NDArray[np.integer]]:
    dtype, zero = _PLAIN[signals[0].format]
    per_frame = sum(signal.samples_per_frame for signal in signals)
    stored = np.frombuffer(data, dtype=dtype, count=n_frames * per_frame, offset=signals[0].byte_offset)
    frames = stored.reshape(n_frames, per_frame)  # (F, samples of all signals)
    if per_frame == len(signals):
        frames = np.asfortranarray(frames)  # each signal in one piece: what follows is twice as fast
    samples, start = [], 0
    for signal in signals:
        column = frames[:, start : start + signal.samples_per_frame].reshape(-1)
        samples.append(column.astype(np.int32) - zero if zero else column)
        start += signal.samples_per_frame
    return samples


def _packed(signals: Sequence[Signal], data: bytes, n_frames: int) -> list[NDArray[np.integer]]:
    import wfdb

    lines = [f"record {len(signals)} 500 {n_frames}"]
    for signal in signals:
        storage = f"{signal.format}x{signal.samples_per_frame}+{signal.byte_offset}"
        lines.append(f"signal.dat {storage} 200/mV 16 0 {signal.initial or 0} 0 0 x")
    with private_folder() as folder:
        (folder / "record.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
        (folder / "signal.dat").write_bytes(data)
        try:
            record = wfdb.rdrecord(f"{folder}/record", physical=False, smooth_frames=False, return_res=32)
        except Exception:  # noqa: BLE001 - one library call; it raises whatever its parts raise
            raise UnreadableRecord(
                f"{signals[0].file!r} cannot be decoded as WFDB format {signals[0].format}, which its header states. "
                "Export it again."
            ) from None
    samples: list[NDArray[np.integer]] = record.e_d_signal
    for signal, row in zip(signals, samples, strict=True):
        if row.size < n_frames * signal.samples_per_frame:
            raise TruncatedFile(f"{signal.file!r} ends after {row.size} samples; the WFDB header declares more")
    return samples
