"""Real files of the formats that are read: each says what its line in corpus.csv says, and so do other decoders."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecg_ka import errors
from ecg_ka.readers import read, wfdb_header
from tests.ecg_ka import corpus
from tests.ecg_ka.oracles import ORACLES, by_wfdb, largest_difference_uv

TABLE = corpus.lines()
READ = [line for line in TABLE if not line.error]
REFUSED = [line for line in TABLE if line.error]
XML = [line.file for line in READ if line.file.endswith(".xml") and line.leads == "12"]


def test_the_table_is_whole() -> None:
    """Also without the files: every line is of one kind, and every number is one."""
    assert [file for file, n in Counter(line.file for line in TABLE).items() if n > 1] == []
    for line in READ:
        numbers = (line.fs_hz, line.leads, line.seconds, line.lead_ii_mv, line.lead_ii_sum_mv, line.age or "0")
        assert all(np.isfinite(float(number)) for number in numbers), line.file
        assert line.format
        assert line.unit
        assert (line.oracle in ORACLES) == bool(line.oracle_uv) == bool(line.oracle), line.file
        assert float(line.oracle_uv or 0) <= 0.001, line.file
    for line in REFUSED:
        assert issubclass(getattr(errors, line.error), errors.EcgError)
        assert line.words
        assert not line.format


def test_the_document_is_current() -> None:
    assert corpus.DOCUMENT.read_text(encoding="utf-8") == corpus.document(), "run `make docs`"


@pytest.mark.shared
def test_every_file_has_a_line(shared_data: Path) -> None:
    files = [path for part in ("cinc2020", "formats", "ptbxl") for path in (shared_data / part).rglob("*")]
    ecgs = {path for path in files if path.is_file() and path.suffix not in (".csv", ".txt")}
    listed = {shared_data / line.file for line in TABLE}
    headers = [path for path in listed if path.suffix == ".hea"]
    beside = {header.parent / name for header in headers for name in wfdb_header.signal_files(header.read_bytes())}
    assert ecgs - listed - beside == set()
    assert listed - ecgs == set()


@pytest.mark.shared
@pytest.mark.parametrize("line", READ, ids=[line.file for line in READ])
def test_what_a_file_says(shared_data: Path, line: corpus.Line) -> None:
    record = read(shared_data / line.file)
    said = corpus.line_of(record, line.file)
    assert said == replace(line, flags="", oracle="", oracle_uv="")
    assert set(line.flags.split()) <= corpus.flags_of(record)
    if line.oracle:
        difference_uv = largest_difference_uv(record, ORACLES[line.oracle](shared_data / line.file))
        assert difference_uv <= float(line.oracle_uv) + 5e-4


@pytest.mark.shared
@pytest.mark.parametrize("line", REFUSED, ids=[line.file for line in REFUSED])
def test_what_is_refused(shared_data: Path, line: corpus.Line) -> None:
    error = corpus.refusal_of(shared_data / line.file)
    assert type(error).__name__ == line.error
    assert line.words in str(error)


@pytest.mark.shared
def test_several_records_are_refused(shared_data: Path) -> None:
    assert "7 records" in str(corpus.refusal_of(shared_data / "cinc2020"))


@pytest.mark.shared
def test_a_signal_file_finds_its_header(shared_data: Path) -> None:
    for file in ("formats/scp/test", "ptbxl/records500/00001_hr", "formats/wfdb/s0010_re"):
        by_signals, by_header = read(shared_data / f"{file}.dat"), read(shared_data / f"{file}.hea")
        np.testing.assert_array_equal(by_signals.signal_mv, by_header.signal_mv)
        assert by_signals.source == by_header.source


@pytest.mark.shared
@pytest.mark.parametrize("file", [line.file for line in REFUSED if line.error == "NonFiniteSamples"])
def test_what_is_refused_for_gaps_has_gaps(shared_data: Path, file: str) -> None:
    assert any(np.isnan(samples).any() for samples in by_wfdb(shared_data / file).values())


@pytest.mark.shared
def test_every_storage_format_of_the_field_agrees(shared_data: Path, tmp_path: Path) -> None:
    """The signals of ``binformats`` are no leads: each gets the name of one and is read on its own."""
    folder = shared_data / "formats" / "wfdb"
    lines = (folder / "binformats.hea").read_text().splitlines()[1:]
    for number, line in enumerate(lines):
        file, storage, *rest = line.split(None, 8)[:8]
        text = f"one 1 200 499\n{' '.join([file, storage, *rest])} II\n"
        (tmp_path / "one.hea").write_text(text)
        (tmp_path / file).write_bytes((folder / file).read_bytes())
        oracle = wfdb.rdrecord(str(tmp_path / "one")).p_signal[:, 0]
        record = read({"one.hea": text.encode(), file: (folder / file).read_bytes()})
        assert record.source.notes == (), (number, storage)
        np.testing.assert_allclose(record.signal_mv[0], oracle, rtol=1e-6, atol=1e-4)


@pytest.mark.shared
@pytest.mark.parametrize("file", XML)
def test_all_leads_of_real_files_obey_einthoven_and_goldberger(shared_data: Path, file: str) -> None:
    record = read(shared_data / file)
    i, ii, iii, avr, avl, avf = (record.lead(lead) for lead in ("I", "II", "III", "aVR", "aVL", "aVF"))
    for residual in (i + iii - ii, avr + (i + ii) / 2, avl - (i - iii) / 2, avf - (ii + iii) / 2):
        assert np.abs(residual).max() < 0.0125  # rounding: up to two steps of 5 microvolts


@pytest.mark.shared
def test_the_samples_of_the_shortest_file(shared_data: Path) -> None:
    short = read(shared_data / "formats/aecg/minimum_aecg.xml")
    assert (short.leads, short.signal_mv.shape) == (("II",), (1, 13))
    np.testing.assert_allclose(short.signal_mv[0, -3:], np.array([-6, -9, -9]) * 2.5e-3, rtol=1e-6)
