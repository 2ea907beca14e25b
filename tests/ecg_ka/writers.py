"""Small valid files of every format, written without the readers under test."""

from __future__ import annotations

import binascii
import io
import json
import struct
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


def flac(counts: NDArray[np.integer]) -> bytes:
    """What WFDB formats 508, 516 and 524 hold: up to 8 channels (C, n) packed by FLAC."""
    import soundfile  # type: ignore[import-untyped]

    stream = io.BytesIO()
    soundfile.write(stream, counts.T.astype(np.int16), 8000, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def mat(compressed: bool = True, **variables: Any) -> bytes:
    import scipy.io

    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=compressed)  # type: ignore[arg-type] # streams are fine
    return stream.getvalue()


def edf(counts: NDArray[np.integer], labels: Sequence[str] = LEADS, unit: str = "uV", **facts: Any) -> bytes:
    """One digital step a microvolt, or a thousandth of a millivolt, as edfio writes it."""
    import edfio

    per_unit = {"uV": 1.0, "mV": 1e-3, "V": 1e-6}.get(unit, 1.0)
    limits = (-32000 * per_unit, 32000 * per_unit)
    signals = [
        edfio.EdfSignal.from_digital(
            row.astype(np.int16),
            FS_HZ,
            label=label,
            physical_dimension=unit,
            physical_range=limits,
            digital_range=(-32000, 32000),
        )
        for label, row in zip(labels, counts, strict=False)
    ]
    return edfio.Edf(signals, **facts).to_bytes()


def ishne(counts: NDArray[np.integer], codes: Sequence[int] = range(5, 17), nv: int = 1000, **fields: Any) -> bytes:
    """A holter file; ``fields`` change fs_hz, declared (samples a lead), text, checksum."""
    text = fields.get("text", b"comment")
    n_leads = len(counts)
    padded = [*codes[:n_leads]] + [-9] * (12 - n_leads)
    block = struct.pack("<iiii", len(text), fields.get("declared", counts.shape[1]), 522, 522 + len(text))
    block += struct.pack("<h40s40s20s", 1, b"Erika", b"Muster", b"SECRET-4711")
    block += struct.pack("<hh3h3h3h3h", 2, 0, 2, 5, 1951, 24, 12, 2021, 24, 12, 2021, 10, 30, 5)
    block += struct.pack("<h12h12h12h", n_leads, *padded, *[0] * 12, *[nv] * n_leads, *[0] * (12 - n_leads))
    block += struct.pack("<h40sh80s80s88s", 0, b"digital", int(fields.get("fs_hz", FS_HZ)), b"", b"", b"") + text
    checksum = fields.get("checksum", binascii.crc_hqx(block, 0xFFFF))
    return bytes(b"ISHNE1.0" + struct.pack("<H", checksum) + block + counts.T.astype("<i2").tobytes())


SCP_CODES = (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)
"""Of the leads in the order of LEADS."""


def scp(counts: NDArray[np.integer], codes: Sequence[int] = SCP_CODES, packed: bool = False, **fields: Any) -> bytes:
    """SCP-ECG of plain 16 bit samples, or of first differences in the default Huffman code."""
    n_leads, n = counts.shape
    start, end = fields.get("start", 1), fields.get("end", n)
    leads = bytes([n_leads, fields.get("flags", 0x04)])
    leads += b"".join(struct.pack("<IIB", start, end, code) for code in codes[:n_leads])
    data = [_huffman(np.diff(row, prepend=0)) if packed else row.astype("<i2").tobytes() for row in counts]
    rhythm = struct.pack("<HHBB", fields.get("nv", 1000), fields.get("interval_us", 2000), int(packed), 0)
    rhythm += struct.pack(f"<{n_leads}H", *map(len, data)) + b"".join(data)
    patient = b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in _SCP_PATIENT) + b"\xff\x00\x00"
    sections = {1: patient, 3: leads, 6: rhythm} | ({2: struct.pack("<H", 19999)} if packed else {})
    return _scp_file(sections | fields.get("sections", {}), fields.get("checksums", True))


_SCP_PATIENT = (
    (0, b"Muster\x00"),
    (2, b"SECRET-4711\x00"),
    (4, struct.pack("<HB", 63, 1)),
    (14, bytes(8) + b"MODEL1" + bytes(30)),
    (25, struct.pack("<HBB", 2021, 12, 24)),
    (26, bytes([10, 30, 5])),
    (34, struct.pack("<hh", 60, 0) + b"\x00"),
)


def _scp_file(sections: Mapping[int, bytes], checksums: bool) -> bytes:
    at = 6 + 16 + 10 * (1 + len(sections))
    table, body = struct.pack("<HII", 0, at - 6, 7), b""
    for number, content in sorted(sections.items()):
        table += struct.pack("<HII", number, 16 + len(content), at + len(body) + 1)
        body += _scp_section(number, content, checksums)
    record = struct.pack("<I", at + len(body)) + _scp_section(0, table, checksums) + body
    return struct.pack("<H", binascii.crc_hqx(record, 0xFFFF)) + record


def _scp_section(number: int, content: bytes, checksum: bool) -> bytes:
    checked = struct.pack("<HIBB6x", number, 16 + len(content), 13, 13) + content
    return struct.pack("<H", binascii.crc_hqx(checked, 0xFFFF) if checksum else 0) + checked


def _huffman(values: NDArray[np.integer]) -> bytes:
    """The default table of SCP-ECG: n ones, a zero and the sign for n up to 8; ten bits and 16 bits for the rest."""
    words = []
    for value in values.tolist():
        if value == 0:
            words.append("0")
        elif abs(value) <= 8:
            words.append("1" * abs(value) + "0" + ("0" if value > 0 else "1"))
        else:
            words.append("1111111111" + f"{value & 0xFFFF:016b}")
    bits = "".join(words)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")
