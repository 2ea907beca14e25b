"""From the file that a cart, a vendor or a database wrote to an :class:`~ecg_ka.record.EcgRecord`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ecg_ka.readers import intake, registry
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.record import EcgRecord

__all__ = ["EcgSource", "files_of", "read"]

EcgSource = str | Path | bytes | bytearray | memoryview | Mapping[str, bytes]
"""A path, the bytes of a file, or uploaded files by name."""


def read(
    source: EcgSource,
    *,
    fs_hz: float | None = None,
    units: str | None = None,
    leads: Sequence[str] | None = None,
) -> EcgRecord:
    """One ECG from a file, a folder that holds one, the bytes of a file, or uploaded files by name.

    The format is known by the content, never by the name: DICOM, SCP-ECG, ISHNE, EDF and EDF+, MATLAB .mat, NumPy .npy
    and .npz, GE MUSE XML, GE CardioSoft XML, Philips Sierra XML, HL7 aECG, JSON, WFDB of several segments, WFDB, CSV, a
    zip of one of these. A ``.hea`` path brings the files beside it that it names, a ``.dat`` path its header.

    ``fs_hz``, ``units`` (``"mV"``, ``"uV"``, ``"V"``) and ``leads`` (one name a channel) are for files that do not say
    these themselves. Nothing overrides what a file states: another value is refused.

    The record's ``source.sha256`` is that of the bytes that were read: of the file; of a WFDB header followed by its
    signal files in the header's order; of the arrays that are used of an ``.npz``; of the file inside a zip. So one
    ECG keeps one identity however it is packed.

    Raises:
        UnreadableRecord: and its subclasses, when the bytes are not what their format promises.
        UnusableRecord: and its subclasses, when there is no signal, no standard lead, or a gap in it.
    """
    given = Given.by_caller(fs_hz, units, leads)
    kind, files = registry.pick(_contents(source))
    with np.errstate(over="ignore", invalid="ignore"):  # a value too large becomes infinite, and the record refuses it
        return kind.read(files, given)


def files_of(source: EcgSource) -> Files:
    """The files that :func:`read` reads of a source.

    Raises:
        UnreadableRecord: and its subclasses, when they cannot be found out.
    """
    return registry.pick(_contents(source))[1]


def _contents(source: EcgSource) -> Mapping[str, bytes]:
    if isinstance(source, bytes | bytearray | memoryview):
        return intake.from_bytes(bytes(source))
    if isinstance(source, Mapping):
        return intake.from_upload({name: bytes(data) for name, data in source.items()})
    return intake.from_path(Path(source))
