"""WFDB headers: every field checked before any library sees it.

Fields and their defaults: header(5) of the WFDB Applications Guide (MIT-LCP).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from ecg_ka.errors import (
    EcgError,
    ForeignReference,
    InvalidSamplingRate,
    MalformedHeader,
    NoSamples,
    RecordTooLarge,
)
from ecg_ka.readers.ages import AGE_NOT_UNDERSTOOD, plausible_age
from ecg_ka.readers.limits import (
    MAX_CHANNELS,
    MAX_DURATION_S,
    MAX_HEADER_BYTES,
    MAX_INPUT_BYTES,
    MAX_SAMPLES,
    check_bytes,
    check_channels,
)
from ecg_ka.record import FS_RANGE_HZ

FORMATS = (8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524)
"""Storage formats of signal(5)."""

GAIN_RANGE = (1e-6, 1e12)
"""ADC units in one physical unit: a gain outside says that the header is wrong."""

MAX_SEGMENTS = 1000
"""Of a multi-segment record. There may be more than files: a segment may stand in it twice, and gaps have no file."""

_INT32 = 2**31
_FORMAT_NAMES = frozenset(map(str, FORMATS))
_PLAIN_NAME = re.compile(r"\w[\w.+-]{0,200}")
_WHOLE = re.compile(r"[+-]?\d{1,400}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_RECORD_LINE = re.compile(r"[^\s,;<>{}\"]+[ \t]+[+-]?\d+([ \t]+(nan|inf|[+-]?[\d.])[^,;]*)?", re.IGNORECASE)
_FORMAT = re.compile(r"(?P<format>\d+)(?:x(?P<per_frame>[^:+]*))?(?::(?P<skew>[^+]*))?(?:\+(?P<offset>.*))?")
_GAIN = re.compile(r"(?P<gain>[^(/]+)(?:\((?P<baseline>[^)]*)\))?(?:/(?P<unit>\S+))?")
_SOME_AGE = re.compile(r"#\s*<?age\b(?!>?\s*[:=]?\s*(nan|unknown|<|$))", re.IGNORECASE)
_LONGEST_COMMENT = 200  # of a comment that is searched: the time of a search grows with its square
_AGE = re.compile(r"#\s*<?age>?\s*(?:[:=]\s*)?(\d{1,3}(?:\.\d+)?)\s*(?:y|yrs?|years?)?[,;]?(?!\S)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One signal line. ``gain`` is in ADC units per physical unit; ``unit`` is as written, None when absent."""

    file: str
    format: int
    samples_per_frame: int
    skew_frames: int
    byte_offset: int
    gain: float
    baseline: int
    unit: str | None
    initial: int | None
    checksum: int | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A checked header; ``n_frames`` and ``fs_hz`` (frames a second) are None where it does not state them."""

    fs_hz: float | None
    n_frames: int | None
    signals: tuple[Signal, ...]
    acquired_at: datetime | None
    age_years: float | None
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The signal files in the order of the header, each once."""
        return tuple(dict.fromkeys(signal.file for signal in self.signals))

    def of_file(self, file: str) -> tuple[Signal, ...]:
        """The signals stored in one file, in order."""
        return tuple(signal for signal in self.signals if signal.file == file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """A checked header of a multi-segment record: names (None for a gap) and frames, in order of time."""

    fs_hz: float | None
    segments: tuple[tuple[str | None, int], ...]
    acquired_at: datetime | None
    age_years: float | None
    notes: tuple[str, ...]


def recognises(data: bytes) -> bool:
    """Whether the first line that is no comment reads as a WFDB record line."""
    return _RECORD_LINE.fullmatch(_first_line(data)) is not None


def recognises_segments(data: bytes) -> bool:
    """Whether that line is the one of a multi-segment record."""
    first = _first_line(data)
    return _RECORD_LINE.fullmatch(first) is not None and "/" in first.split()[0]


def _first_line(data: bytes) -> str:
    if b"\x00" in data[:1024]:
        return ""
    lines = _text(data[:65_536]).splitlines()
    return next((line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")), "")


def plain_name(name: str) -> str:
    """The name itself, when it is that of a file in the same folder.

    Raises:
        ForeignReference: it is a path, a URL, hidden, a stream, or otherwise no plain name.
    """
    if not _PLAIN_NAME.fullmatch(name):
        raise ForeignReference(
            f"the file name {name[:60]!r} leads elsewhere; expected the plain name of a file given with this one"
        )
    return name


def parse(data: bytes) -> Header:
    """A header from the bytes of a ``.hea`` file.

    Record names with a dot (``E00009.mat``) and dates in other spellings are taken as they come: the name is not
    used, and only dates as header(5) has them are kept.

    Raises:
        MalformedHeader: a field that is missing or makes no sense; a multi-segment record.
        ForeignReference: a signal file that is no plain name.
        InvalidSamplingRate, NoSamples, RecordTooLarge: on the field concerned.
    """
    check_bytes(len(data), MAX_HEADER_BYTES, "the WFDB header")
    (record_line, *signal_lines), comments = _lines(data)
    tokens = record_line.split()
    if len(tokens) < 2:
        raise MalformedHeader("the WFDB header has no record line; expected: name, number of signals, sampling rate")
    if "/" in tokens[0]:
        raise MalformedHeader("a multi-segment WFDB record within another; expected one of plain segments")
    n_signals = _whole(tokens[1], "number of signals", 0, 10**9)
    check_channels(n_signals)
    if n_signals == 0:
        raise NoSamples("the WFDB header declares 0 signals; expected an ECG")
    if len(signal_lines) != n_signals:
        raise MalformedHeader(f"the WFDB header declares {n_signals} signals and describes {len(signal_lines)}")
    header = Header(
        fs_hz=_rate(tokens[2]) if len(tokens) > 2 else None,
        n_frames=_n_frames(tokens[3]) if len(tokens) > 3 else None,
        signals=tuple(_signal(line, number) for number, line in enumerate(signal_lines)),
        acquired_at=_acquired_at(tokens[4:]),
        age_years=_age(comments),
        notes=_age_notes(comments),
    )
    _check_files(header)
    return header


def parse_segments(data: bytes) -> Segments:
    """The header of a multi-segment record: its segments without those of no length, which state the layout only.

    Raises:
        MalformedHeader: a field that is missing or makes no sense.
        ForeignReference: a segment that is no plain name.
        InvalidSamplingRate, NoSamples, RecordTooLarge: on the field concerned.
    """
    check_bytes(len(data), MAX_HEADER_BYTES, "the WFDB header")
    (record_line, *lines), comments = _lines(data)
    tokens = record_line.split()
    n_segments = _whole(tokens[0].rpartition("/")[2], "number of segments", 1, MAX_SEGMENTS, RecordTooLarge)
    if len(lines) != n_segments:
        raise MalformedHeader(f"the WFDB header declares {n_segments} segments and names {len(lines)}")
    segments = [_segment(line) for line in lines]
    n_frames = sum(n for _, n in segments)
    declared = _n_frames(tokens[3]) if len(tokens) > 3 else None
    if declared not in (None, n_frames):
        raise MalformedHeader(f"the WFDB header declares {declared} samples and segments of {n_frames} together")
    if n_frames == 0:
        raise NoSamples("the WFDB header declares segments of 0 samples; expected at least 5 s of ECG")
    return Segments(
        fs_hz=_rate(tokens[2]) if len(tokens) > 2 else None,
        segments=tuple(segment for segment in segments if segment[1]),
        acquired_at=_acquired_at(tokens[4:]),
        age_years=_age(comments),
        notes=_age_notes(comments),
    )


def _segment(line: str) -> tuple[str | None, int]:
    name, *length = line.split()
    if len(length) != 1:
        raise MalformedHeader(f"a WFDB segment line {line[:40]!r}; expected a name and a number of samples")
    return None if name == "~" else plain_name(name), _n_frames(length[0]) or 0


def signal_files(data: bytes) -> tuple[str, ...]:
    """The plain names that stand where a ``.hea`` file names its signal files, or those of the headers of its segments.

    :func:`parse` and :func:`parse_segments` refuse other names.
    """
    fields, _ = _lines(data[:MAX_HEADER_BYTES])
    most, suffix = (MAX_SEGMENTS, ".hea") if recognises_segments(data) else (MAX_CHANNELS, "")
    names = [line.split(None, 1)[0] for line in fields[1 : most + 1]]
    return tuple(dict.fromkeys(name + suffix for name in names if _PLAIN_NAME.fullmatch(name)))


def _lines(data: bytes) -> tuple[list[str], list[str]]:
    """The lines with fields, at least one, and the comment lines."""
    lines = [line.strip() for line in _text(data).splitlines() if line.strip()]
    comments = [line[:_LONGEST_COMMENT] for line in lines if line[0] == "#"]
    return [line for line in lines if line[0] != "#"] or [""], comments


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _whole(text: str, what: str, low: int, high: int, too_high: type[EcgError] = MalformedHeader) -> int:
    if not _WHOLE.fullmatch(text):
        raise MalformedHeader(f"the {what} is {text[:40]!r} in the WFDB header; expected a whole number")
    value = int(text)
    if value > high:
        raise too_high(f"the {what} is {text[:40]} in the WFDB header; expected at most {high}")
    if value < low:
        raise MalformedHeader(f"the {what} is {text[:40]} in the WFDB header; expected at least {low}")
    return value


def _number(text: str) -> float:
    """A plain decimal number as float, NaN for anything else."""
    return float(text) if len(text) < 400 and _DECIMAL.fullmatch(text) else float("nan")


def _rate(token: str) -> float:
    fs_hz = _number(token.split("/", 1)[0])
    if not 0 < fs_hz <= FS_RANGE_HZ[1]:
        raise InvalidSamplingRate(f"the sampling rate is {token[:40]!r} in the WFDB header; expected a number of Hz")
    return fs_hz


def _n_frames(token: str) -> int | None:
    limit = int(MAX_DURATION_S * FS_RANGE_HZ[1])
    return _whole(token, "number of samples", 0, limit, RecordTooLarge) or None  # 0 stands for "not stated"


def _signal(line: str, number: int) -> Signal:
    tokens = line.split(None, 8)
    if len(tokens) < 3:
        raise MalformedHeader(f"line {number + 1} of the WFDB signals states no gain; the amplitude is unknown")
    storage, scale = _FORMAT.fullmatch(tokens[1]), _GAIN.fullmatch(tokens[2])
    if storage is None or storage["format"] not in _FORMAT_NAMES:
        raise MalformedHeader(f"WFDB storage format {tokens[1][:40]!r}; expected one of {FORMATS}")
    if scale is None:
        raise MalformedHeader(f"the gain is {tokens[2][:40]!r} in the WFDB header; expected a number, as in 1000/mV")
    # after the gain: ADC resolution, ADC zero, initial value, checksum, block size, description
    whole = [_whole(token, "signal field", -_INT32, _INT32) for token in tokens[3:8]]
    adc_zero = whole[1] if len(whole) > 1 else 0
    baseline = scale["baseline"]
    return Signal(
        file=plain_name(tokens[0]),
        format=int(storage["format"]),
        samples_per_frame=_whole(storage["per_frame"] or "1", "samples per frame", 1, MAX_SAMPLES, RecordTooLarge),
        skew_frames=_whole(storage["skew"] or "0", "skew", 0, MAX_SAMPLES),
        byte_offset=_whole(storage["offset"] or "0", "byte offset", 0, MAX_INPUT_BYTES),
        gain=_gain(scale["gain"]),
        baseline=adc_zero if baseline is None else _whole(baseline, "baseline", -_INT32, _INT32),
        unit=scale["unit"],
        initial=whole[2] if len(whole) > 2 else None,
        checksum=whole[3] if len(whole) > 3 else None,
        name=tokens[8] if len(tokens) > 8 else f"signal {number}",
    )


def _gain(text: str) -> float:
    gain = _number(text)
    if not GAIN_RANGE[0] <= gain <= GAIN_RANGE[1]:
        raise MalformedHeader(
            f"the gain is {text[:40]!r} in the WFDB header; expected a positive number of ADC units per mV. "
            "It has to be stated: the amplitude is unknown without it."
        )
    return gain


def _acquired_at(tokens: list[str]) -> datetime | None:
    try:
        return datetime.strptime(" ".join(tokens[:2]).split(".", 1)[0], "%H:%M:%S %d/%m/%Y")
    except ValueError:
        return None


def _age(comments: list[str]) -> float | None:
    ages = (float(match[1]) for line in comments if (match := _AGE.match(line)))
    return next((age for age in ages if plausible_age(age) is not None), None)


def _age_notes(comments: list[str]) -> tuple[str, ...]:
    return (AGE_NOT_UNDERSTOOD,) if _age(comments) is None and any(map(_SOME_AGE.match, comments)) else ()


def _check_files(header: Header) -> None:
    """One storage format and offset in each file, its signals together: as signal(5) has it."""
    if len(header.files) != len(list(groupby(header.signals, key=lambda signal: signal.file))):
        raise MalformedHeader("the signals of one file are not together in the WFDB header")
    for file in header.files:
        if len({(signal.format, signal.byte_offset) for signal in header.of_file(file)}) > 1:
            raise MalformedHeader(f"the WFDB header gives {file[:60]!r} more than one storage format or offset")
