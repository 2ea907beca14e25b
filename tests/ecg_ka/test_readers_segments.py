"""WFDB records of several segments: put together by name, never beyond what is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecg_ka import errors
from ecg_ka.readers import read
from tests.ecg_ka.writers import LEADS, counts_uv, header, wfdb_stored, zipped

UV = counts_uv(900)
LAYOUT = "\n".join(["l 12 500 0", *(f"~ 0 1000/mV 16 0 0 0 0 {lead}" for lead in LEADS)]).encode()


def _segment(name: str, start: int, stop: int, *rows: int, record: str = "") -> dict[str, bytes]:
    rows = rows or tuple(range(12))
    text = header(
        [LEADS[row] for row in rows],
        record=record or f"{name} {len(rows)} 500 {stop - start}",
        file=f"{name}.dat",
    )
    return {f"{name}.hea": text, f"{name}.dat": UV[list(rows), start:stop].T.astype("<i2").tobytes()}


PARTS = _segment("a", 0, 400) | _segment("b", 400, 900)
FIXED = {"m.hea": b"m/2 12 500 900 10:30:05 24/12/2021\na 400\nb 500\n#Age: 63\n"} | PARTS


def _written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_fixed_layout_as_wfdb_reads_it(tmp_path: Path) -> None:
    folder = _written(tmp_path / "m", FIXED)
    oracle = wfdb.rdrecord(str(folder / "m")).p_signal.T
    record = read(FIXED)
    np.testing.assert_allclose(record.signal_mv, oracle, atol=1e-6)
    assert (record.leads, record.fs_hz, record.source.age_years) == (LEADS, 500, 63)
    assert record.source.acquired_at is not None
    for source in (folder, folder / "m.hea", zipped({f"x/{name}": data for name, data in FIXED.items()})):
        assert read(source).source.sha256 == record.source.sha256
    assert read(folder / "a.hea").signal_mv.shape == (12, 400)


def test_variable_layout_joins_leads_by_name(tmp_path: Path) -> None:
    order = list(range(11, -1, -1))
    files = {"m.hea": b"m/3 12 500 900\nl 0\na 400\nb 500\n", "l.hea": LAYOUT}
    files |= _segment("a", 0, 400) | _segment("b", 400, 900, *order)
    oracle = wfdb.rdrecord(str(_written(tmp_path / "m", files) / "m")).p_signal.T
    np.testing.assert_allclose(read(files).signal_mv, oracle, atol=1e-6)
    np.testing.assert_allclose(read(files).signal_mv, UV * 1e-3, atol=1e-6)
    assert read(tmp_path / "m" / "m.hea").leads == LEADS


def test_a_segment_may_stand_twice_and_leave_its_length_to_the_record() -> None:
    files = {"m.hea": b"m/2 12 500\na 400\na 400\n"} | _segment("a", 0, 400, record="a 12")
    np.testing.assert_allclose(read(files).signal_mv, np.hstack([UV[:, :400]] * 2) * 1e-3, atol=1e-6)


def test_packed_segments() -> None:
    files = {"m.hea": b"m/2 12 500 900\na 400\nb 500\n"}
    for name, start, stop in (("a", 0, 400), ("b", 400, 900)):
        text = header(record=f"{name} 12 500 {stop - start}", file=f"{name}.dat", storage="310")
        files |= {f"{name}.hea": text, f"{name}.dat": wfdb_stored(UV[:, start:stop].clip(-500, 500), "310")}
    np.testing.assert_allclose(read(files).signal_mv, UV.clip(-500, 500) * 1e-3, atol=1e-6)


def test_several_samples_in_a_frame_of_a_segment() -> None:
    files = {"m.hea": b"m/2 1 125 200\na 100\nb 100\n"}
    for name, start in (("a", 0), ("b", 400)):
        files[f"{name}.hea"] = header(["II"], record=f"{name} 1 125 100", file=f"{name}.dat", storage="16x4")
        files[f"{name}.dat"] = UV[1, start : start + 400].astype("<i2").tobytes()
    record = read(files)
    assert record.fs_hz == 500
    np.testing.assert_allclose(record.signal_mv[0], UV[1, :800] * 1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("lines", "files", "named"),
    [
        ("m/2 12 500 500\na 400\n~ 100\n", _segment("a", 0, 400), "I, II, III"),
        ("m/2 12 500 900\na 400\nb 500\n", _segment("a", 0, 400) | _segment("b", 400, 900, 0, 1, 6), "III"),
    ],
)
def test_gaps_and_leads_that_some_segment_lacks_are_missing_samples(
    lines: str, files: dict[str, bytes], named: str
) -> None:
    with pytest.raises(errors.NonFiniteSamples, match=named):
        read({"m.hea": lines.encode()} | files)


HOSTILE: dict[str, tuple[bytes, type[errors.EcgError]]] = {
    "itself": (b"m/1 12 500 400\nm 400\n", errors.ForeignReference),
    "itself, twice": (b"m/2 12 500 800\nm 400\nm 400\n", errors.ForeignReference),
    "a segment that is not there": (b"m/1 12 500 400\nx 400\n", errors.ForeignReference),
    "the folder above": (b"m/1 12 500 400\n../a 400\n", errors.ForeignReference),
    "an absolute path": (b"m/1 12 500 400\n/tmp/a 400\n", errors.ForeignReference),
    "a URL": (b"m/1 12 500 400\nhttp://h/a 400\n", errors.ForeignReference),
    "1e9 segments": (b"m/1000000000 12 500 400\na 400\n", errors.RecordTooLarge),
    "no segments": (b"m/0 12 500\n", errors.MalformedHeader),
    "segments without a number": (b"m/x 12 500 400\na 400\n", errors.MalformedHeader),
    "more segments than lines": (b"m/2 12 500 400\na 400\n", errors.MalformedHeader),
    "another length": (b"m/1 12 500 401\na 400\n", errors.MalformedHeader),
    "another length than the segment": (b"m/1 12 500 399\na 399\n", errors.MalformedHeader),
    "a length of 1e12": (b"m/1 12 500\na 1000000000000\n", errors.RecordTooLarge),
    "a gap of 20 million samples": (b"m/2 12 500\na 400\n~ 20000000\n", errors.RecordTooLarge),
    "a length of -1": (b"m/1 12 500\na -1\n", errors.MalformedHeader),
    "no length": (b"m/1 12 500\na\n", errors.MalformedHeader),
    "no samples": (b"m/1 12 500\na 0\n", errors.NoSamples),
    "nothing but a gap": (b"m/1 12 500\n~ 400\n", errors.MissingLeads),
    "another rate": (b"m/1 12 250 400\na 400\n", errors.InvalidSamplingRate),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_segments_that_lie_are_refused_by_name(name: str) -> None:
    text, error = HOSTILE[name]
    with pytest.raises(errors.EcgError) as caught:
        read({"m.hea": text} | (_segment("a", 0, 400) if b"\na" in text else {}))
    assert caught.type is error, caught.value


def test_segments_within_segments_are_refused(tmp_path: Path) -> None:
    inner = {"n.hea": b"n/1 12 500 400\nm 400\n"}
    files = {"m.hea": b"m/1 12 500 400\nn 400\n"} | inner
    for source in (files, _written(tmp_path / "x", files), tmp_path / "x" / "m.hea"):
        with pytest.raises(errors.UnreadableRecord, match="2 records"):
            read(source)


def test_frames_of_many_samples_are_counted_before_they_are_read() -> None:
    text = header(["II"], record="a 1 0.01", file="a.dat", storage="16x1000000")
    files = {"m.hea": b"m/1000 1 0.01\n" + b"a 1\n" * 1000, "a.hea": text, "a.dat": bytes(2_000_000)}
    with pytest.raises(errors.RecordTooLarge, match="12000000000 samples"):
        read(files)


def test_segments_of_different_rates_are_refused() -> None:
    files = {"m.hea": b"m/2 12\na 400\nb 500\n"} | _segment("a", 0, 400)
    files |= _segment("b", 400, 900, record="b 12 250 500")
    with pytest.raises(errors.MalformedHeader, match="one rate"):
        read(files)
