"""WFDB records: a ``.hea`` header and its signal files, every storage format of signal(5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import ForeignReference, MalformedHeader, MissingLeads, NoSamples
from ecg_ka.readers import wfdb_header
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given, known_unit, mv_per
from ecg_ka.readers.limits import check_duration, check_samples
from ecg_ka.readers.wfdb_header import Header, Signal
from ecg_ka.readers.wfdb_samples import decode, frames_held, invalid_sample
from ecg_ka.record import EcgRecord, Source, canonical_lead


def recognises(data: bytes) -> bool:
    """Whether this is a WFDB header; signal files alone say nothing about themselves."""
    return wfdb_header.recognises(data)


def read(files: Files, given: Given) -> EcgRecord:
    """The standard leads of a record, with the gain and unit that its header states.

    Its identity is the SHA-256 of the header followed by the signal files in the order of the header. Signal files
    may be absent when no standard lead is in them (Frank leads, pressures).

    Raises:
        ForeignReference: a signal file of a standard lead was not given, or is the header itself.
        TruncatedFile: a signal file is shorter than the header declares.
        MissingLeads: no standard lead in it.
        MalformedHeader, InvalidSamplingRate, NoSamples, NonFiniteSamples, RecordTooLarge: on the field concerned.
    """
    header = wfdb_header.parse(files.data)
    rows = decoded(files, header, given)
    source = source_of(header, identity(files, header), given, rows.altered)
    return EcgRecord.from_leads(rows.signal_mv, given.names(rows.names), fs_hz=rows.fs_hz, source=source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Leads (L, n) in mV, and which of them have another checksum than the header says."""

    names: tuple[str, ...]
    signal_mv: NDArray[np.float32]
    fs_hz: float
    altered: tuple[str, ...]


def decoded(files: Files, header: Header, given: Given) -> Rows:
    """The standard leads of one header; errors as :func:`read`."""
    wanted = _wanted(header)
    _check_present(files, wanted)
    fs_hz, n_frames = _extent(header, files, wanted, given)
    signal_mv, altered = _millivolts(header, files, wanted, n_frames, given)
    names = tuple(signal.name for signal in wanted)
    return Rows(names=names, signal_mv=signal_mv, fs_hz=fs_hz, altered=tuple(altered))


def _wanted(header: Header) -> list[Signal]:
    wanted = [signal for signal in header.signals if canonical_lead(signal.name) is not None]
    if not wanted:
        names = ", ".join(repr(signal.name[:20]) for signal in header.signals[:15])
        raise MissingLeads(f"no standard lead among the WFDB signals ({names}); expected names such as I, II, V1")
    return wanted


def _extent(header: Header, files: Files, wanted: Sequence[Signal], given: Given) -> tuple[float, int]:
    """Sampling rate of the leads (Hz) and frames; what the header declares is checked before the files are."""
    per_frame = _common(wanted)
    fs_hz = given.sampling_rate(None if header.fs_hz is None else header.fs_hz * per_frame)
    _check_size(header, header.n_frames or 0)
    check_duration((header.n_frames or 0) * per_frame, fs_hz)
    n_frames = _length(header, files, wanted)
    _check_size(header, n_frames)
    check_duration(n_frames * per_frame, fs_hz)
    return fs_hz, n_frames


def source_of(header: Header, sha256_of_files: str, given: Given, altered: Sequence[str]) -> Source:
    """Where the standard leads of one header come from."""
    notes = [*header.notes, *_left_out(header)]
    if altered:
        notes.append(f"the checksum in the WFDB header does not match the samples of {', '.join(altered)[:80]}")
    units = {signal.unit for signal in header.signals if canonical_lead(signal.name) is not None}
    units_assumed = None in units and given.units is None
    if units_assumed:
        notes.append("the WFDB header states no unit, which by header(5) means mV")
    return Source(
        format="WFDB",
        sha256=sha256_of_files,
        units_in=", ".join(sorted(unit or "not stated" for unit in units)),
        units_assumed=units_assumed,
        acquired_at=header.acquired_at,
        age_years=header.age_years,
        notes=tuple(notes),
    )


def _check_present(files: Files, wanted: Sequence[Signal]) -> None:
    for file in dict.fromkeys(signal.file for signal in wanted):
        if file == files.primary:
            raise ForeignReference(f"the WFDB header {file!r} names itself as a signal file")
        if file not in files.contents:
            raise ForeignReference(f"the WFDB header names {file!r}, which was not given with it. Give both files.")


def _check_size(header: Header, n_frames: int) -> None:
    check_samples(n_frames * sum(signal.samples_per_frame for signal in header.signals))


def _common(wanted: Sequence[Signal]) -> int:
    per_frame = {signal.samples_per_frame for signal in wanted}
    if len(per_frame) > 1:
        raise MalformedHeader("the leads of this WFDB record differ in sampling rate; expected one rate for all leads")
    return per_frame.pop()


def _length(header: Header, files: Files, wanted: Sequence[Signal]) -> int:
    """Frames in the record: as declared, where the files are long enough, or else as many as they hold."""
    held = [
        frames_held(header.of_file(file), files.contents[file], header.n_frames)
        for file in dict.fromkeys(signal.file for signal in wanted)
    ]
    n_frames = min(held)
    skew = max(signal.skew_frames for signal in wanted)
    if n_frames == 0:
        raise NoSamples("the WFDB record holds 0 samples; expected at least 5 s of ECG. Check the export.")
    if skew >= n_frames:
        raise MalformedHeader(f"a skew of {skew} samples in a WFDB record of {n_frames}; expected a few samples")
    return n_frames


def _millivolts(
    header: Header, files: Files, wanted: Sequence[Signal], n_frames: int, given: Given
) -> tuple[NDArray[np.float32], list[str]]:
    """Rows (leads, n) in mV without the frames that skewed signals lack at the end; and leads of another checksum."""
    n = (n_frames - max(signal.skew_frames for signal in wanted)) * wanted[0].samples_per_frame
    signal_mv = np.empty((len(wanted), n), dtype=np.float32)  # (L, n)
    row, altered = 0, []
    for file in dict.fromkeys(signal.file for signal in wanted):
        signals = header.of_file(file)
        for signal, samples in zip(signals, decode(signals, files.contents[file], n_frames), strict=True):
            if canonical_lead(signal.name) is None:
                continue
            if header.n_frames is not None and not _as_written(signal, samples):
                altered.append(signal.name)
            start = signal.skew_frames * signal.samples_per_frame
            signal_mv[row] = _scaled(signal, samples[start : start + n], given)
            row += 1
    return signal_mv, altered


def _scaled(signal: Signal, samples: NDArray[np.integer], given: Given) -> NDArray[np.float64]:
    """Samples (n,) in mV; the value that stands for "no sample" becomes NaN."""
    stated = None if signal.unit is None else known_unit(signal.unit)
    if signal.unit is not None and stated is None:
        raise MalformedHeader(f"lead {signal.name[:20]} is in {signal.unit[:20]!r}; expected mV, uV or V")
    unit = given.unit(stated) or "mV"  # the default of header(5)
    scaled = samples.astype(np.float64)
    scaled -= signal.baseline
    scaled /= signal.gain
    scaled *= mv_per(unit)
    if (missing := samples == invalid_sample(signal.format)).any():
        scaled[missing] = np.nan
    return scaled


def _as_written(signal: Signal, samples: NDArray[np.integer]) -> bool:
    """Whether the checksum is right; where the first sample is another too, these are the samples of another record."""
    if signal.checksum is None or (signal.checksum == 0 and not signal.initial):  # 0 and 0 are placeholders
        return True
    if (int(samples.sum(dtype=np.int64)) - signal.checksum) % 2**16 == 0:
        return True
    # format 8 stores differences: its first sample follows from the header
    if signal.checksum != 0 and signal.format != 8 and samples[0] != signal.initial:
        raise MalformedHeader(
            f"checksum and first sample of lead {signal.name[:20]} are not those in the WFDB header; expected the "
            "signal file that was written with it"
        )
    return False


def _left_out(header: Header) -> list[str]:
    others = [signal.name for signal in header.signals if canonical_lead(signal.name) is None]
    return [f"channel {name[:40]!r} is not a standard lead and was left out" for name in others]


def identity(files: Files, header: Header) -> str:
    """The SHA-256 of a header followed by its signal files."""
    digest = sha256(files.data)
    for file in header.files:
        digest.update(files.contents.get(file, b""))
    return digest.hexdigest()
