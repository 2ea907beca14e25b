"""How much a file may hold, and the checks that keep it so: memory stays below 512 MB whatever the input."""

from __future__ import annotations

import math

from ecg_ka.errors import InvalidSamplingRate, RecordTooLarge
from ecg_ka.record import FS_RANGE_HZ

MAX_INPUT_BYTES = 20_000_000
"""All bytes of one record together, packed and unpacked. Ten seconds of 12 leads take 0.12 MB."""

MAX_HEADER_BYTES = 1_000_000
"""A WFDB header: 64 signals and their comments take a few kilobytes."""

MAX_JSON_BYTES = 8_000_000
"""JSON turns 4 bytes into a number of 32, 5 into a string of 60, and 3 into a list of 70."""

MIN_JSON_BYTES_A_LIST = 16
"""Of a JSON text, for each list or object in it: the shortest list of the samples of 8 leads takes 17."""

MAX_DICOM_BYTES = 6_000_000
"""DICOM turns 8 bytes into an object of 300. The 12-lead object holds at most 2.1 MB of samples."""

MAX_DICOM_ITEMS = 20_000
"""Sequence items in a DICOM file: each becomes an object of 1.5 kB. A 12-lead ECG holds some hundred."""

MAX_XML_BYTES = 8_000_000
"""XML: ten seconds of 12 leads take 0.5 MB as decimal numbers, 1 MB in UTF-16."""

MAX_XML_MARKS = 200_000
"""``<`` and ``=`` in XML, each: no more tags and no more attributes can be in it. An ECG holds some thousand."""

MAX_XML_DEPTH = 64
"""Elements within elements: an aECG has 15."""

MAX_SCP_BYTES = 400_000
"""SCP-ECG is unpacked bit by bit, at about a microsecond each. Ten seconds take 20 kB packed, 240 kB as they are."""

MAX_FILES = 64
"""Files in a folder, an upload or an archive."""

MAX_CHANNELS = 64

MAX_SAMPLES = 20_000_000
"""Samples of all channels together: what 20 MB hold at one byte a sample."""

MAX_DURATION_S = 3600.0

MAX_COMPRESSION_RATIO = 200
"""Unpacked by packed size of an archive member; ECG samples pack about threefold, CSV about tenfold."""


def check_bytes(n_bytes: int, limit: int, what: str) -> None:
    """Refuse ``what`` when it has more than ``limit`` bytes.

    Raises:
        RecordTooLarge: it has.
    """
    if n_bytes > limit:
        raise RecordTooLarge(f"{what} has {n_bytes} bytes; expected at most {limit}. Cut the recording to 10 s.")


def check_channels(n_channels: int) -> None:
    """Refuse more than :data:`MAX_CHANNELS` channels.

    Raises:
        RecordTooLarge: there are more.
    """
    if n_channels > MAX_CHANNELS:
        raise RecordTooLarge(f"{n_channels} channels; expected at most {MAX_CHANNELS}. Is this a 12-lead ECG?")


def check_samples(n_samples: int) -> None:
    """Refuse more than :data:`MAX_SAMPLES` samples, all channels together.

    Raises:
        RecordTooLarge: there are more.
    """
    if n_samples > MAX_SAMPLES:
        raise RecordTooLarge(f"{n_samples} samples; expected at most {MAX_SAMPLES}. Cut the recording to 10 s.")


def check_duration(n_samples: int, fs_hz: float) -> None:
    """Refuse ``n_samples`` of one channel at ``fs_hz`` that last longer than :data:`MAX_DURATION_S`.

    Raises:
        InvalidSamplingRate: ``fs_hz`` is no sampling rate of an ECG.
        RecordTooLarge: the recording is longer.
    """
    low, high = FS_RANGE_HZ
    if not math.isfinite(fs_hz) or not low <= fs_hz <= high:
        raise InvalidSamplingRate(f"sampling rate {fs_hz:g} Hz; expected {low:g} to {high:g} Hz. Check the file.")
    if n_samples > MAX_DURATION_S * fs_hz:
        raise RecordTooLarge(
            f"{n_samples / fs_hz:.0f} s of ECG; expected at most {MAX_DURATION_S:.0f} s. Cut the recording to 10 s."
        )
