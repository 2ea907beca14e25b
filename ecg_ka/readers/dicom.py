"""DICOM waveform objects: 12-lead ECG, general ECG and whatever else holds a rhythm group of ECG channels.

Attributes: DICOM PS3.3 C.10.9 (Waveform Module); lead codes: PS3.16 CID 3001 (MDC and SCP-ECG coding).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import (
    EcgError,
    InvalidSamplingRate,
    MalformedHeader,
    NoSamples,
    RecordTooLarge,
    TruncatedFile,
    UnreadableRecord,
)
from ecg_ka.readers.ages import AGE_NOT_UNDERSTOOD, YEARS, plausible_age
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given, known_unit, mv_per
from ecg_ka.readers.limits import (
    MAX_DICOM_BYTES,
    MAX_DICOM_ITEMS,
    check_bytes,
    check_channels,
    check_duration,
    check_samples,
)
from ecg_ka.record import EcgRecord, Source, canonical_lead

_TAGS = [
    "AcquisitionDateTime",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientAge",
    "SpecificCharacterSet",
    "WaveformSequence",
]
"""What is kept of the file: nothing in it identifies the patient."""

_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
"""Implicit and explicit little endian."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_ITEM = b"\xfe\xff\x00\xe0"
_SAMPLE_TYPES = {(8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "<i2", (16, "US"): "<u2", (32, "SL"): "<i4"}
_LEAD_CODE = re.compile(r"(?:5\.6\.3-9-|2:)(\d+)")
_LONGEST_NAME = 128  # of a channel that is searched
_BY_WHOM = re.compile(r"\((einthoven|goldberger|wilson)\)", re.IGNORECASE)
_DERIVED = re.compile(r"median|average|representative", re.IGNORECASE)
_INVERTED = re.compile(r"^\s*(\(\s*)?[-\u2212]|invert|negat|revers", re.IGNORECASE)
LEAD_BY_CODE = {
    **dict(enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), start=1)),
    **dict(enumerate(("III", "aVR", "aVL", "aVF"), start=61)),
}
"""The lead numbers that SCP-ECG and MDC share."""


def recognises(data: bytes) -> bool:
    """Whether the DICOM mark stands behind the preamble."""
    return data[128:132] == b"DICM"


def read(files: Files, given: Given) -> EcgRecord:
    """The rhythm of a waveform object: its longest original groups, each channel scaled as it states.

    Groups of one length, rate and start that hold different leads are one rhythm.

    Raises:
        UnreadableRecord: no DICOM waveform, or in a transfer syntax that is not read.
        MalformedHeader: also of several rhythms that cannot be joined, and of samples wider than the stored bits.
        TruncatedFile, NoSamples, InvalidSamplingRate, RecordTooLarge, MissingLeads: as named.
    """
    dataset = _dataset(files.data)
    try:
        groups, notes = _rhythm(dataset)
        names = [name for group in groups for name in _names(group)]
        fs_hz = given.sampling_rate(_rate(groups[0]))
        parts = [_millivolts(group, given, fs_hz) for group in groups]
        signal_mv, units = np.concatenate([rows for rows, _ in parts]), {unit for _, found in parts for unit in found}
        age = _age(dataset)
        if age is None and dataset.get("PatientAge"):
            notes.append(AGE_NOT_UNDERSTOOD)
        source = Source(
            format="DICOM",
            sha256=sha256(files.data).hexdigest(),
            units_in=", ".join(sorted(units)),
            device=_device(dataset),
            acquired_at=_acquired_at(dataset),
            age_years=age,
            notes=(*notes, *_skewed(groups)),
        )
    except EcgError:
        raise
    except Exception:  # noqa: BLE001 - pydicom parses on access and raises whatever its parts raise
        raise UnreadableRecord("a value in the DICOM file is damaged. Export it again.") from None
    return EcgRecord.from_leads(signal_mv, given.names(names), fs_hz=fs_hz, source=source)


def _dataset(data: bytes) -> Any:
    import pydicom

    check_bytes(len(data), MAX_DICOM_BYTES, "the DICOM file")
    if _DEFLATED in data:
        raise UnreadableRecord("deflated DICOM is not read. Export it as explicit or implicit little endian.")
    if data.count(_ITEM) > MAX_DICOM_ITEMS:
        raise RecordTooLarge(f"the DICOM file holds more than {MAX_DICOM_ITEMS} sequence items; is it an ECG?")
    try:
        dataset = pydicom.dcmread(BytesIO(data), specific_tags=_TAGS)
        syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    except (EOFError, OSError):  # no byte comes from anywhere but memory
        raise TruncatedFile("the DICOM file ends within an element. Send the whole file.") from None
    except Exception:  # noqa: BLE001 - one library call; it raises whatever its parts raise
        raise UnreadableRecord("the DICOM file is damaged and cannot be decoded. Export it again.") from None
    if syntax not in _SYNTAXES:
        raise UnreadableRecord(f"DICOM transfer syntax {syntax[:64]!r}; expected explicit or implicit little endian")
    return dataset


def _rhythm(dataset: Any) -> tuple[list[Any], list[str]]:
    """The longest groups marked original; a median beat is marked derived and is never taken for an ECG."""
    groups = dataset.get("WaveformSequence")
    if not groups:
        raise UnreadableRecord("the DICOM file holds no waveform; expected an ECG waveform object")
    original = [group for group in groups if _is_original(group)]
    if not original:
        raise UnreadableRecord("the DICOM file holds derived waveforms (median beats) only; expected the rhythm")
    with_leads = [group for group in original if _leads(group)] or original[:1]
    lengths = [int(group.NumberOfWaveformSamples) / (_rate(group) or 1.0) for group in with_leads]
    longest = [group for group, length in zip(with_leads, lengths, strict=True) if length == max(lengths)]
    _check_one_rhythm(longest)
    without, shorter = len(original) - len(with_leads), len(groups) - len(original) + len(with_leads) - len(longest)
    notes = [f"{shorter} shorter or derived waveform groups were left out"] if shorter else []
    return longest, notes + [f"{without} waveform groups without a standard lead were left out"] * bool(without)


def _is_original(group: Any) -> bool:
    return group.get("WaveformOriginality") == "ORIGINAL" and not _DERIVED.search(
        str(group.get("MultiplexGroupLabel") or "")[:_LONGEST_NAME]
    )


def _check_one_rhythm(groups: Sequence[Any]) -> None:
    """Several groups as long as each other are one rhythm only with one rate, one start and no lead in two of them."""
    if len(groups) == 1:
        return
    leads = [lead for group in groups for lead in _leads(group)]
    if len(set(leads)) < len(leads):
        raise MalformedHeader(f"{len(groups)} original DICOM waveform groups of one length share leads; expected one")
    times = {(_rate(group), _number(group, "MultiplexGroupTimeOffset", 0)) for group in groups}
    if len(times) > 1:
        raise MalformedHeader(
            f"the leads stand in {len(groups)} DICOM waveform groups of another start or rate; expected one of each"
        )


def _names(group: Any) -> list[str]:
    return [_lead_name(channel) for channel in group.get("ChannelDefinitionSequence") or []]


def _leads(group: Any) -> list[str]:
    return [lead for name in _names(group) if (lead := canonical_lead(name)) is not None]


def _rate(group: Any) -> float | None:
    stated = group.get("SamplingFrequency")
    if stated is None:
        return None
    fs_hz = float(stated)
    if not fs_hz > 0:
        raise InvalidSamplingRate(f"the sampling frequency is {fs_hz:g} Hz in the DICOM file; expected a positive one")
    return fs_hz


def _millivolts(group: Any, given: Given, fs_hz: float) -> tuple[NDArray[np.float64], set[str]]:
    """Rows (channels, n) in mV, and the units found. Actual value = sample x sensitivity x correction + baseline.

    Channels that are no standard lead (a pressure, say) stay at 0: their unit is nobody's concern.
    """
    channels: Sequence[Any] = group.ChannelDefinitionSequence
    names = _names(group)
    stored = _stored(group, len(channels), fs_hz)  # (n, C)
    missing = _padding(group)
    signal_mv, units = np.zeros(stored.T.shape), set()
    for row, channel in enumerate(channels):
        if canonical_lead(names[row]) is None:
            continue
        _check_stored_bits(group, channel, stored[stored[:, row] != missing, row])
        unit = _unit(channel, given)
        units.add(unit)
        per_sample = _number(channel, "ChannelSensitivity") * _number(channel, "ChannelSensitivityCorrectionFactor", 1)
        if per_sample == 0:
            raise MalformedHeader("a channel sensitivity of 0 in the DICOM file; expected microvolts in one step")
        signal_mv[row] = (stored[:, row] * per_sample + _number(channel, "ChannelBaseline", 0)) * mv_per(unit)
        signal_mv[row, stored[:, row] == missing] = np.nan
    return signal_mv, units


def _stored(group: Any, n_defined: int, fs_hz: float) -> NDArray[np.integer]:
    """The samples (n, channels) as they stand in the file."""
    n_channels, n_samples = int(group.NumberOfWaveformChannels), int(group.NumberOfWaveformSamples)
    kind = (int(group.WaveformBitsAllocated), str(group.WaveformSampleInterpretation))
    if kind not in _SAMPLE_TYPES:
        raise MalformedHeader(f"DICOM samples of kind {str(kind)[:40]}; expected linear integers of 8, 16 or 32 bits")
    if n_channels != n_defined:
        raise MalformedHeader(f"the DICOM file declares {n_channels} channels and defines {n_defined}")
    check_channels(n_channels)
    check_samples(n_channels * n_samples)
    if n_samples == 0 or n_channels == 0:
        raise NoSamples("the DICOM waveform holds 0 samples; expected at least 5 s of ECG. Check the export.")
    check_duration(n_samples, fs_hz)
    dtype = np.dtype(_SAMPLE_TYPES[kind])
    needed, data = n_channels * n_samples * dtype.itemsize, bytes(group.get("WaveformData") or b"")
    if len(data) < needed:
        raise TruncatedFile(f"the DICOM waveform holds {len(data)} bytes and declares {needed}. Send the whole file.")
    return np.frombuffer(data, dtype=dtype, count=n_channels * n_samples).reshape(n_samples, n_channels)


def _check_stored_bits(group: Any, channel: Any, samples: NDArray[np.integer]) -> None:
    """Samples fill the allocated bits with the sign of the stored ones (PS3.3 C.10.9.1.7); others are not understood.

    A sample beyond the stored bits is either such a sign left out or no sample at all.
    """
    bits = int(_number(channel, "WaveformBitsStored", int(group.WaveformBitsAllocated)))
    if bits >= int(group.WaveformBitsAllocated) or samples.size == 0:
        return
    signed = str(group.WaveformSampleInterpretation)[0] == "S"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed and bits > 0 else (0, 2 ** max(bits, 0) - 1)
    if samples.min() < low or samples.max() > high:
        raise MalformedHeader(
            f"DICOM samples from {samples.min()} to {samples.max()} in {bits} stored bits; expected {low} to {high}"
        )


def _padding(group: Any) -> int | None:
    """The stored value that stands for "no sample", when the file names one."""
    value = group.get("WaveformPaddingValue")
    if isinstance(value, bytes):
        size = int(group.WaveformBitsAllocated) // 8
        return int.from_bytes(value[:size], "little", signed=str(group.WaveformSampleInterpretation)[0] == "S")
    return value if isinstance(value, int) else None


def _unit(channel: Any, given: Given) -> str:
    codes = channel.get("ChannelSensitivityUnitsSequence")
    stated = known_unit(str(codes[0].CodeValue)) if codes else None
    if codes and stated is None:
        raise MalformedHeader(f"a DICOM channel in {str(codes[0].CodeValue)[:20]!r}; expected uV, mV or V")
    unit = given.unit(stated)
    if unit is None:
        raise MalformedHeader("a DICOM channel states no unit and none is assumed. Pass units.")
    return unit


def _number(channel: Any, keyword: str, default: float | None = None) -> float:
    value = channel.get(keyword)
    if value is None:
        value = default
    if value is None or not np.isfinite(float(value)):
        raise MalformedHeader(f"{keyword} is {str(value)[:40]!r} in the DICOM file; expected a number")
    return float(value)


def _skewed(groups: Sequence[Any]) -> list[str]:
    """A note when leads are stated to be sampled later or earlier than the samples of their group say."""
    skewed = [
        name
        for group in groups
        for name, channel in zip(_names(group), group.ChannelDefinitionSequence, strict=True)
        if canonical_lead(name) and (_number(channel, "ChannelTimeSkew", 0) or _number(channel, "ChannelSampleSkew", 0))
    ]
    return [f"the file states a time skew of {', '.join(skewed)}, which was not corrected"] if skewed else []


def _lead_name(channel: Any) -> str:
    """The lead by its code, or by the meaning of the code or the label of the channel.

    A channel that is called inverted anywhere keeps that name, which is no standard lead.
    """
    codes = channel.get("ChannelSourceSequence") or []
    words = [str(code.get(key, "")) for code in codes for key in ("CodeValue", "CodeMeaning")]
    words.append(str(channel.get("ChannelLabel", "")))
    inverted = next((word for word in words if _INVERTED.search(word[:_LONGEST_NAME])), None)
    if inverted is not None:
        return inverted
    leads = {lead for word in words if (lead := _known_lead(word)) is not None}
    if len(leads) > 1:
        raise MalformedHeader(f"a DICOM channel is named {' and '.join(sorted(leads))}; expected one lead")
    return leads.pop() if leads else next((word for word in words[1:] if word), "unnamed")


def _known_lead(word: str) -> str | None:
    code = _LEAD_CODE.fullmatch(word.strip())
    return LEAD_BY_CODE.get(int(code[1])) if code else canonical_lead(_BY_WHOM.sub("", word[:_LONGEST_NAME]))


def _device(dataset: Any) -> str | None:
    parts = [str(dataset.get(keyword) or "") for keyword in ("Manufacturer", "ManufacturerModelName")]
    words = " ".join(part[:64] for part in parts).split()
    return " ".join(word for word in words if word.isprintable()) or None


def _acquired_at(dataset: Any) -> datetime | None:
    text = str(dataset.get("AcquisitionDateTime") or "").strip()
    match = re.fullmatch(r"(\d{14})(?:\.\d{1,6})?([+-]\d{4})?", text)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1] + (match[2] or ""), "%Y%m%d%H%M%S" + ("%z" if match[2] else ""))
    except ValueError:
        return None


def _age(dataset: Any) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([YMWD])", str(dataset.get("PatientAge") or "").strip()[:8])
    return None if match is None else plausible_age(int(match[1]) * YEARS[match[2]])
