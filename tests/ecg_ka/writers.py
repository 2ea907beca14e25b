"""Small valid files of every format, written without the readers under test."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
FS_HZ = 500.0


def counts_uv(n: int = 1000, n_leads: int = 12, seed: int = 7) -> NDArray[np.int16]:
    """An ECG-like table (n_leads, n) in whole microvolts; rows 3 to 6 follow from rows 1 and 2, to 1 microvolt."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n) / FS_HZ
    beat = 900 * np.exp(-(((time_s % 0.8) - 0.3) ** 2) / 2e-4)
    rows = rng.uniform(-1, 1, (n_leads, 1)) * beat + rng.normal(0, 12, (n_leads, n))
    if n_leads > 2:
        one, two = np.rint(rows[:2])
        rows[2:6] = np.stack([two - one, -(one + two) / 2, one - two / 2, two - one / 2])[: n_leads - 2]
    counts: NDArray[np.int16] = np.rint(rows).astype(np.int16)
    return counts


def header(
    leads: Sequence[str] = LEADS,
    *,
    record: str = "a 12 500 1000",
    file: str = "a.dat",
    storage: str = "16",
    gain: str = "1000/mV",
    rest: str = "16 0 0 0 0",
    comments: str = "",
) -> bytes:
    """A WFDB header as text, any field of which can be made hostile."""
    lines = [record, *(f"{file} {storage} {gain} {rest} {lead}" for lead in leads)]
    return ("\n".join(lines) + "\n" + comments).encode()


def wfdb_pair(counts: NDArray[np.int16], **fields: Any) -> dict[str, bytes]:
    """A header and its format 16 signal file."""
    record = fields.pop("record", f"a {len(counts)} 500 {counts.shape[1]}")
    leads = fields.pop("leads", LEADS)[: len(counts)]
    return {"a.hea": header(leads, record=record, **fields), "a.dat": counts.T.astype("<i2").tobytes()}


def wfdb_written(folder: Path, counts: NDArray[np.integer], storage: str, **fields: Any) -> dict[str, bytes]:
    """The files of a record that the wfdb package writes."""
    import wfdb

    folder.mkdir(exist_ok=True)
    n = len(counts)
    wfdb.wrsamp(
        "rec",
        fs=FS_HZ,
        units=fields.pop("units", ["mV"] * n),
        sig_name=fields.pop("sig_name", list(LEADS[:n])),
        d_signal=np.ascontiguousarray(counts.T).astype(np.int64),
        fmt=[storage] * n,
        adc_gain=fields.pop("adc_gain", [1000.0] * n),
        baseline=fields.pop("baseline", [0] * n),
        write_dir=str(folder),
        **fields,
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wfdb_stored(counts: NDArray[np.integer], storage: str) -> bytes:
    """The bytes of formats that the wfdb package does not write: signal(5) in the WFDB Applications Guide."""
    flat = counts.T.reshape(-1).astype(np.int64)
    if storage == "61":
        return bytes(flat.astype(">i2").tobytes())
    if storage == "160":
        return bytes((flat + 2**15).astype("<u2").tobytes())
    a, b, c = np.pad(flat, (0, -flat.size % 3)).reshape(-1, 3).T & 0x3FF  # three samples of ten bits
    if storage == "311":
        return bytes((a | b << 10 | c << 20).astype("<u4").tobytes())
    low, high = a << 1 | (c & 0x1F) << 11, b << 1 | (c >> 5) << 11
    return bytes((low | high << 16).astype("<u4").tobytes())


def npy(table: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, table, allow_pickle=False)
    return stream.getvalue()


def csv(rows: NDArray[Any], names: Sequence[str] = LEADS, separator: str = ",", time: str | None = None) -> bytes:
    """Columns under ``names``; ``time`` adds a first column of that name, in seconds or (``..._ms``) milliseconds."""
    per_s = 1e3 if time and time.endswith(("ms", "ms)")) else 1.0
    lines = [separator.join(([time] if time else []) + list(names))]
    for number, sample in enumerate(rows.T):
        stamp = [f"{number / FS_HZ * per_s:.6f}"] if time else []
        lines.append(separator.join(stamp + [str(value) for value in sample]))
    return ("\n".join(lines) + "\n").encode()


def json_text(rows: NDArray[Any], **fields: Any) -> bytes:
    content = {"fs_hz": FS_HZ, "leads": list(LEADS[: len(rows)]), "signal_mv": rows.tolist()} | fields
    return json.dumps({key: value for key, value in content.items() if value is not None}).encode()


def zipped(contents: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return stream.getvalue()


def dicom(*groups: Any, sop_class: str = "1.2.840.10008.5.1.4.1.1.9.1.1", implicit: bool = False, **tags: Any) -> bytes:
    """A DICOM waveform object of some groups, each from :func:`dicom_group`."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class
    dataset.PatientName, dataset.PatientID = "Muster^Erika", "SECRET-4711"
    dataset.WaveformSequence = list(groups)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def dicom_group(counts: NDArray[np.integer], leads: Sequence[str] = LEADS, **tags: Any) -> Any:
    """A multiplex group of counts (leads, n) as 16 bit samples of 1 microvolt; ``tags`` override the group's."""
    from pydicom.dataset import Dataset

    group = Dataset()
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(counts)
    group.NumberOfWaveformSamples = counts.shape[1]
    group.SamplingFrequency = FS_HZ
    group.ChannelDefinitionSequence = [dicom_channel(lead) for lead in leads[: len(counts)]]
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.WaveformData = counts.T.astype("<i2").tobytes()
    for keyword, value in tags.items():
        setattr(group, keyword, value)
    return group


def dicom_channel(meaning: str, code: str = "", unit: str = "uV", **tags: Any) -> Any:
    """One channel definition, named by a code or its meaning."""
    from pydicom.dataset import Dataset

    source, units, channel = Dataset(), Dataset(), Dataset()
    source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = code, "SCPECG", meaning
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", unit
    channel.ChannelSourceSequence = [source]
    channel.ChannelSensitivity = "1"
    channel.ChannelSensitivityUnitsSequence = [units]
    channel.ChannelSensitivityCorrectionFactor = "1"
    channel.ChannelBaseline = "0"
    channel.WaveformBitsStored = 16
    for keyword, value in tags.items():
        setattr(channel, keyword, value)
    return channel
