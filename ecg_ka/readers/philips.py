"""Philips Sierra XML (``restingecgdata``) 1.03 to 1.04.02: the rhythm without the calibration pulse at its end."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader, NoSamples, UnreadableRecord
from ecg_ka.readers import xli
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import check_channels, check_duration, check_samples
from ecg_ka.readers.provenance import age_years, day, device, moment
from ecg_ka.readers.stored_leads import StoredLead, check_count, to_record
from ecg_ka.readers.xml_document import parse, root_name
from ecg_ka.readers.xml_node import Node
from ecg_ka.record import LEADS, EcgRecord, Source

_FORMAT = "Philips Sierra XML"
_VERSIONS = ("1.03", "1.04", "1.04.01", "1.04.02")
_STANDARD_SETS = ("STD-12", "10-WIRE")
_UNCOMPRESSED = ("", "NONE", "UNCOMPRESSED")
_AGE = "patient/generalpatientdata/age"
_ACQUIRED = ("dataacquisition/@date", "dataacquisition/@time")
_DEVICE = ("dataacquisition/machine", "dataacquisition/machine/@detaildescription")
_UNIT = "uV"  # the schema gives resolution in microvolts; the files do not repeat it
_PULSE_UV = 1000.0
_PULSE_ERROR_UV = 20.0
_PULSE_SAMPLES = 10
_CLOSE = 3
"""Steps by which a lead may miss the pulse that all leads share, and a sample the level of the pulse."""

_ALIKE = 8
_HARDLY_ECG_UV = 300.0
_USUAL_S = 10.0


def recognises(data: bytes) -> bool:
    """Whether the root element is that of a Philips export."""
    return root_name(data) == "restingecgdata"


def read(files: Files, given: Given) -> EcgRecord:
    """The rhythm of all leads, plain or compressed by XLI.

    Raises:
        MalformedHeader: another version, sample type or lead set; no resolution; a calibration pulse that is not 1 mV,
            or an end that looks like one and is none.
        UnreadableRecord: another compression or encoding, or samples that are damaged.
        TruncatedFile, NoSamples, MissingLeads, InvalidSamplingRate, RecordTooLarge: as named.
    """
    root = parse(files.data, _FORMAT)
    version = root.word("documentinfo/documentversion")
    if version not in _VERSIONS:
        raise MalformedHeader(f"{_FORMAT} version {version!r}; expected {', '.join(_VERSIONS)}")
    waveforms = root.node("waveforms/parsedwaveforms")
    signal = root.node("dataacquisition/signalcharacteristics")
    names = _names(waveforms, signal)
    fs_hz = given.sampling_rate(_rate(waveforms, signal))
    step_uv = signal.number("resolution" if signal.word("resolution") else "signalresolution")
    rows = _samples(waveforms, signal, names, _n_samples(waveforms, fs_hz, len(names)))
    rows, note = _without_calibration(rows, step_uv, fs_hz)
    acquired_at = moment(" ".join(map(root.word, _ACQUIRED)), ["%Y-%m-%d %H:%M:%S"])
    born = day(root.word(f"{_AGE}/dateofbirth"), ["%Y-%m-%d"])
    source = Source(
        format=f"{_FORMAT} {version}",
        sha256=sha256(files.data).hexdigest(),
        units_in="",
        device=device(*map(root.word, _DEVICE)),
        acquired_at=acquired_at,
        age_years=age_years(root.word(f"{_AGE}/years"), "years", born, acquired_at),
        notes=(note,),
    )
    stored = zip(names, rows, strict=True)
    leads = [StoredLead(name=name, samples=row, step=step_uv, unit=_UNIT) for name, row in stored]
    return to_record(leads, fs_hz=fs_hz, given=given, source=source)


def _names(waveforms: Node, signal: Node) -> list[str]:
    """The leads by label (1.04), or by the name of the standard set (1.03); what has no name is no lead."""
    labels = waveforms.word("@leadlabels").split()
    check_channels(len(labels))
    kind = signal.word("acquisitiontype")
    if not labels and kind not in _STANDARD_SETS:
        raise MalformedHeader(f"{_FORMAT}: no lead labels, acquisition type {kind!r}; expected {_STANDARD_SETS}")
    check_count(f"{_FORMAT}, lead labels", len(labels or LEADS), waveforms.count("@numberofleads"))
    return labels or list(LEADS)


def _rate(waveforms: Node, signal: Node) -> float | None:
    places = ((waveforms, "@samplespersecond"), (signal, "samplingrate"))
    rates = {node.number(path) for node, path in places if node.word(path)}
    if len(rates) > 1:
        raise InvalidSamplingRate(f"{_FORMAT}: sampling rates {sorted(rates)} Hz are stated; expected one")
    return rates.pop() if rates else None


def _n_samples(waveforms: Node, fs_hz: float, n_leads: int) -> int:
    check_duration(0, fs_hz)
    milliseconds = waveforms.number("@durationperchannel")
    n_samples = round(min(milliseconds, 1e12) * fs_hz / 1000)
    check_duration(n_samples, fs_hz)
    check_samples(n_samples * n_leads)
    if n_samples <= 0:
        raise NoSamples(
            f"{_FORMAT}: a duration of {milliseconds:g} ms; expected at least 5 s of ECG. Check the export."
        )
    return n_samples


def _samples(waveforms: Node, signal: Node, names: Sequence[str], n_samples: int) -> NDArray[np.int64]:
    """Samples (leads, n_samples); channels behind those with a name hold the calibration pulse alone."""
    for field, expected in (
        ("bitspersample", "16"),
        ("nbitspersample", "16"),
        ("signalsigned", "TRUE"),
        ("signaloffset", "0"),
    ):
        stated = waveforms.word(f"@{field}") or signal.word(field)
        if stated.upper() not in ("", expected):
            raise MalformedHeader(f"{_FORMAT}: {field} is {stated!r}; expected {expected}")
    compression, encoding = _compression(waveforms), waveforms.word("@dataencoding").upper()
    if (compression, encoding) == ("XLI", "BASE64"):
        if tuple(names[:6]) != LEADS[:6]:
            raise MalformedHeader(
                f"{_FORMAT}: XLI of leads {' '.join(names)[:80]!r}; expected I II III aVR aVL aVF first"
            )
        rows = xli.decode(waveforms.packed(), len(names), n_samples, waveforms.place)
        xli.restore_limb_leads(rows)
        return rows
    if compression or encoding not in ("BASE64", "PLAIN"):
        raise UnreadableRecord(f"{_FORMAT}: compression {compression!r}, encoding {encoding!r}; expected XLI, Base64")
    stored = waveforms.packed_samples() if encoding == "BASE64" else waveforms.numbers()
    held = stored.size // n_samples
    check_count(f"{waveforms.place}, samples", stored.size, max(held, len(names)) * n_samples)
    return stored.reshape(held, n_samples)[: len(names)].astype(np.int64)


def _compression(waveforms: Node) -> str:
    if waveforms.word("@compressflag").upper() == "FALSE":
        return ""
    method = (waveforms.word("@compression") or waveforms.word("@compressmethod")).upper()
    return "" if method in _UNCOMPRESSED else method


def _without_calibration(rows: NDArray[np.int64], step_uv: float, fs_hz: float) -> tuple[NDArray[np.int64], str]:
    """The rows up to where all leads become one: the rectangular pulse of 1 mV at the end, and the pause before it.

    The leads are compared above their last sample, first exactly and then to a few steps.
    """
    above = rows - rows[:, -1:]
    common = np.median(above, axis=0)
    apart = np.abs(above - common)
    for close in (0, _CLOSE):
        differing = np.flatnonzero((apart > close).any(axis=0))
        end = int(differing[-1]) + 1 if differing.size else rows.shape[1]
        height = _pulse_height(common[end:])
        if height is not None:
            _check_height(height, step_uv)
            return rows[:, :end], f"the last {rows.shape[1] - end} samples, a calibration pulse of 1 mV, were left out"
    _refuse_common_end(apart, common * step_uv, round(_USUAL_S * fs_hz))
    return rows, "no calibration pulse was found at the end"


def _pulse_height(end: NDArray[np.float64]) -> float | None:
    """Of a pulse above rest, edges of any slope, in samples (n,) in steps; None where the end is no such pulse."""
    if end.size == 0 or end.min() < -_CLOSE or end.max() <= 2 * _CLOSE:
        return None
    high = end >= end.max() - _CLOSE
    on_edges = ~high & (end > _CLOSE)
    if high.sum() < _PULSE_SAMPLES or on_edges.sum() > high.sum():
        return None
    return float(np.median(end[high]) - np.median(end[end <= _CLOSE]))


def _check_height(height: float, step_uv: float) -> None:
    if abs(height * step_uv - _PULSE_UV) > max(step_uv, _PULSE_ERROR_UV):
        stated = f"{height * step_uv:g} uV at {step_uv:g} uV a step"
        raise MalformedHeader(f"{_FORMAT}: a calibration pulse of {stated}; expected 1000 uV: the resolution is wrong")


def _refuse_common_end(apart: NDArray[np.float64], common_uv: NDArray[np.float64], usual: int) -> None:
    """Refuse what follows the usual 10 s where nearly all leads (leads, n) show one deflection, which no heart does.

    Of the six limb leads no four can be alike (Einthoven 1912, Goldberger 1942).
    """
    alike = (apart[:, usual:] <= _ALIKE).mean(axis=0) > 0.8
    strange = alike & (np.abs(common_uv[usual:]) > _HARDLY_ECG_UV)
    if len(apart) > 2 and strange.sum() >= _PULSE_SAMPLES:
        raise MalformedHeader(
            f"{_FORMAT}: the leads end alike, in no plain calibration pulse; where the ECG ends is not known"
        )
