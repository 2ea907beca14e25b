"""EDF and continuous EDF+ files: a header of fixed fields, then 16 bit samples (Kemp 1992; Kemp and Olivan 2003).

The samples lie as plainly as those of an array, so once every field of the header is checked no library is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader, MissingLeads, NoSamples, TruncatedFile, UnreadableRecord
from ecg_ka.readers.ages import age_at
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given, known_unit, mv_per
from ecg_ka.readers.limits import MAX_SAMPLES, check_channels, check_duration, check_samples
from ecg_ka.record import EcgRecord, Source, canonical_lead

_HEADER = 256  # bytes of the main header, and of the header of each signal
_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Of the fields of a signal: label, transducer, unit, physical minimum and maximum, digital ones, filter, samples in a
data record, reserved. Each field stands for all signals before the next one begins."""

_ANNOTATIONS = "EDF Annotations"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signal:
    """One signal; physical values in ``unit``, digital ones in steps; ``start`` is its place in a data record."""

    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[int, int]
    start: int
    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    n_records: int
    record_s: float
    signals: tuple[_Signal, ...]

    @property
    def samples_per_record(self) -> int:
        return sum(signal.n_samples for signal in self.signals)


def recognises(data: bytes) -> bool:
    """Whether this is version 0 with a header as long as its number of signals says."""
    size, n_signals = data[184:192].strip(), data[252:_HEADER].strip()
    if data[:8] != b"0       " or not (size.isdigit() and n_signals.isdigit()):
        return False
    return int(size) == _HEADER * (int(n_signals) + 1)


def read(files: Files, given: Given) -> EcgRecord:
    """The leads by their labels (``ECG II``, ``V1``), scaled from digital to physical range.

    Raises:
        UnreadableRecord: EDF+D, whose data records are not continuous.
        MissingLeads: no label is that of a standard lead.
        MalformedHeader, TruncatedFile, NoSamples, InvalidSamplingRate, RecordTooLarge: on the field concerned.
    """
    data = files.data
    if data[192:197] == b"EDF+D":
        raise UnreadableRecord("EDF+D: the recording is interrupted; expected a continuous one. Export it as EDF+C.")
    header = _header(data)
    leads = [signal for signal in header.signals if canonical_lead(signal.label) is not None]
    if not leads:
        labels = ", ".join(repr(signal.label) for signal in header.signals[:15])
        raise MissingLeads(f"no standard lead among the EDF labels ({labels}); expected names such as 'ECG I', 'V1'")
    fs_hz = given.sampling_rate(_rate(header, leads))
    check_duration(header.n_records * leads[0].n_samples, fs_hz)
    signal_mv, units = _millivolts(data, header, leads, given)
    others = [s.label for s in header.signals if s not in leads and s.label != _ANNOTATIONS]
    source = Source(
        format="EDF+" if data[192:196] == b"EDF+" else "EDF",
        sha256=sha256(data).hexdigest(),
        units_in=", ".join(sorted(units)),
        device=_device(data),
        acquired_at=(acquired_at := _acquired_at(data)),
        age_years=age_at(_birth(data), acquired_at),
        notes=tuple(f"channel {label!r} is not a standard lead and was left out" for label in others),
    )
    return EcgRecord.from_leads(signal_mv, given.names([s.label for s in leads]), fs_hz=fs_hz, source=source)


def _header(data: bytes) -> _Header:
    """The checked header of a file whose samples are all there."""
    n_signals = int(data[252:_HEADER])
    check_channels(n_signals)
    if n_signals == 0:
        raise NoSamples("the EDF header declares 0 signals; expected an ECG")
    if len(data) < _HEADER * (n_signals + 1):
        raise TruncatedFile(
            f"the EDF file ends within its header of {_HEADER * (n_signals + 1)} bytes. Send all of it."
        )
    record_s = _decimal(_text(data, 244, 8), "duration of a data record")
    if not record_s > 0:
        raise InvalidSamplingRate(f"a data record of {record_s:g} s in the EDF header; expected a duration")
    signals = _signals(data, n_signals)
    per_record = sum(signal.n_samples for signal in signals)
    held = (len(data) - _HEADER * (n_signals + 1)) // (2 * per_record)
    n_records = _whole(_text(data, 236, 8), "number of data records")
    if n_records == -1:  # still being written: as many as there are
        n_records = held
    if not 0 <= n_records <= held:
        raise TruncatedFile(f"the EDF header declares {n_records} data records and the file holds {held}. Send all.")
    if n_records == 0:
        raise NoSamples("the EDF file holds 0 data records; expected at least 5 s of ECG. Check the export.")
    check_samples(n_records * per_record)
    return _Header(n_records=n_records, record_s=record_s, signals=signals)


def _signals(data: bytes, n_signals: int) -> tuple[_Signal, ...]:
    columns, position = [], _HEADER
    for width in _WIDTHS:
        columns.append([_text(data, position + width * number, width) for number in range(n_signals)])
        position += width * n_signals
    signals: list[_Signal] = []
    for label, _, unit, *numbers, _, n_samples, _ in zip(*columns, strict=True):
        n = _whole(n_samples, f"number of samples of {label!r}")
        if not 1 <= n <= MAX_SAMPLES:
            raise MalformedHeader(f"{n} samples of {label!r} in an EDF data record; expected 1 to {MAX_SAMPLES}")
        low, high = (_decimal(number, f"physical range of {label!r}") for number in numbers[:2])
        least, most = (_whole(number, f"digital range of {label!r}") for number in numbers[2:])
        start = signals[-1].start + signals[-1].n_samples if signals else 0
        signals.append(
            _Signal(label=label, unit=unit, physical=(low, high), digital=(least, most), start=start, n_samples=n)
        )
    return tuple(signals)


def _text(data: bytes, start: int, width: int) -> str:
    text = data[start : start + width].decode("latin-1").strip()
    if not text.isprintable():
        raise MalformedHeader(f"bytes {start} to {start + width} of the EDF header are not text. Export it again.")
    return text


def _decimal(text: str, what: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise MalformedHeader(f"the {what} is {text!r} in the EDF header; expected a number")
    return value


def _whole(text: str, what: str) -> int:
    value = _decimal(text, what)
    if not value.is_integer():
        raise MalformedHeader(f"the {what} is {text!r} in the EDF header; expected a whole number")
    return int(value)


def _rate(header: _Header, leads: Sequence[_Signal]) -> float:
    per_record = {signal.n_samples for signal in leads}
    if len(per_record) > 1:
        raise MalformedHeader("the leads of this EDF file differ in sampling rate; expected one rate for all leads")
    return per_record.pop() / header.record_s


def _millivolts(
    data: bytes, header: _Header, leads: Sequence[_Signal], given: Given
) -> tuple[NDArray[np.float32], set[str]]:
    """Rows (leads, n) in mV, and the units found."""
    offset = _HEADER * (len(header.signals) + 1)
    stored = np.frombuffer(data, "<i2", count=header.n_records * header.samples_per_record, offset=offset)
    records = stored.reshape(header.n_records, -1)  # (R, samples of all signals)
    signal_mv = np.empty((len(leads), header.n_records * leads[0].n_samples), dtype=np.float32)
    units = set()
    for row, signal in zip(signal_mv, leads, strict=True):
        unit = _unit(signal, given)
        units.add(unit)
        (low, high), (least, most) = signal.physical, signal.digital
        if least >= most or low == high:
            raise MalformedHeader(f"the range of {signal.label!r} is empty in the EDF header; the amplitude is unknown")
        steps = records[:, signal.start : signal.start + signal.n_samples].reshape(-1) - np.float64(least)
        row[:] = (steps * ((high - low) / (most - least)) + low) * mv_per(unit)
    return signal_mv, units


def _unit(signal: _Signal, given: Given) -> str:
    stated = known_unit(signal.unit)
    if signal.unit and stated is None:
        raise MalformedHeader(f"lead {signal.label!r} of the EDF file is in {signal.unit!r}; expected uV, mV or V")
    unit = given.unit(stated)
    if unit is None:
        raise MalformedHeader(f"lead {signal.label!r} of the EDF file states no unit and none is assumed. Pass units.")
    return unit


def _acquired_at(data: bytes) -> datetime | None:
    """Local time; two digits of the year, from 1985 to 2084.

    The first day of 1985 stands for an unknown one, unless the recording field states it (EDF+).
    """
    if data[168:176] == b"01.01.85" and data[88:168].upper().split()[:2] != [b"STARTDATE", b"01-JAN-1985"]:
        return None
    try:
        day, month, year = map(int, data[168:176].split(b"."))
        hour, minute, second = map(int, data[176:184].split(b"."))
        return datetime(year + (1900 if year >= 85 else 2000), month, day, hour, minute, second)
    except ValueError:
        return None


def _birth(data: bytes) -> datetime | None:
    """The third word of the patient field of EDF+, as in 02-MAY-1951."""
    words = data[8:88].split() if data[192:196] == b"EDF+" else []
    match = re.fullmatch(rb"(\d{2})-([A-Z]{3})-(\d{4})", words[2].upper()) if len(words) > 2 else None
    if match is None or (name := match[2].decode()) not in _MONTHS:
        return None
    try:
        return datetime(int(match[3]), _MONTHS.index(name) + 1, int(match[1]))
    except ValueError:
        return None


def _device(data: bytes) -> str | None:
    """The fifth word of the recording field of EDF+, after "Startdate", date, code and technician."""
    words = data[88:168].decode("latin-1").split() if data[192:196] == b"EDF+" else []
    device = words[4].replace("_", " ") if len(words) > 4 else "X"
    return device if device != "X" and device.isprintable() else None
