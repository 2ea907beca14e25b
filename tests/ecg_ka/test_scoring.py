"""Archives to tables: which ECGs there are, one row each, and the same bytes whatever happens on the way."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from ecg_ka import LEADS, SHIPPED, EcgError, Estimator, MissingDependency, RecordTooLarge, UnreadableRecord, read
from ecg_ka.exporters.wfdb import record_wfdb
from ecg_ka.readers.limits import MAX_FILES, MAX_HEADER_BYTES, MAX_INPUT_BYTES
from ecg_ka.scoring import Job, Totals, score_archive, would_overwrite
from ecg_ka.scoring.archive_run import _scored
from ecg_ka.scoring.job import Scorer
from ecg_ka.scoring.journal import CHUNK, Chunk, Journal
from ecg_ka.scoring.listing import found
from ecg_ka.scoring.row import COLUMNS, value_of
from ecg_ka.scoring.source import Source
from ecg_ka.scoring.tables import CsvTable, TableFormat, table_format, written
from ecg_ka.scoring.workers import Workers
from tests.ecg_ka.command import called
from tests.ecg_ka.ecgs import csv_bytes, ecg
from tests.ecg_ka.mortal import ends_its_process
from tests.ecg_ka.writers import counts_uv, npz, wfdb_pair, zipped

WFDB = record_wfdb(ecg(1, 5.0), "r")
CSV = csv_bytes(ecg(4, 6.4))


def job(*inputs: Path) -> Job:
    return Job(inputs=tuple(map(str, inputs)), bundle=SHIPPED, level=0.9)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three ECGs in five files, a zip of two more, a file that is none, and what is not to be looked at."""
    folder = tmp_path / "archive"
    for name, data in {**{f"a/{name}": data for name, data in WFDB.items()}, "a/r.csv": CSV, "b.csv": CSV}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "notes.txt").write_text("no ECG")
    (folder / ".hidden").write_text("nothing")
    with zipfile.ZipFile(folder / "two.zip", "w") as packed:
        for name, data in {**WFDB, "x.csv": CSV, "__MACOSX/x.csv": b"?"}.items():
            packed.writestr(name, data)
    return folder


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """More ECGs than a chunk, of which one cannot be read."""
    folder = tmp_path / "many"
    folder.mkdir()
    whole = folder / "000.hea"
    for name, data in record_wfdb(ecg(1, 5.0), "000").items():
        (folder / name).write_bytes(data)
    for number in range(1, CHUNK + 8):
        (folder / f"{number:03}.hea").write_bytes(whole.read_bytes())
    (folder / "003.hea").write_bytes(b"")
    return folder


def test_a_header_with_its_signals_is_one_ecg_and_so_is_every_other_file_in_folder_and_zip(archive: Path) -> None:
    names = [source.name.removeprefix(f"{archive}/") for source in found([str(archive)])]
    assert names == ["b.csv", "notes.txt", "two.zip!r.hea", "two.zip!x.csv", "a/r.csv", "a/r.hea"]


def test_pipes_hold_nothing_up_and_links_to_folders_are_left_out(archive: Path) -> None:
    """Each with one row that says so; a link to a file is followed, one that leads nowhere is refused."""
    for name in ("pipe.zip", "pipe.hea", "pipe"):
        os.mkfifo(archive / name)
    writer = os.open(archive / "pipe.hea", os.O_RDWR)
    for name, place in {"up": "..", "beside": "a", "round": "round", "b2.csv": "b.csv"}.items():
        (archive / name).symlink_to(place)
    sources = [source for source in found([str(archive)]) if "/a/" not in source.name]
    rows = {Path(str(row[0])).name: value_of(row, "error") for row in Scorer(job()).rows(sources)}
    os.close(writer)
    refused = ("notes.txt", "pipe", "pipe.hea", "pipe.zip", "round")
    assert sorted(rows) == sorted([*refused, "b.csv", "b2.csv", "two.zip!r.hea", "two.zip!x.csv"])
    assert sorted(name for name, error in rows.items() if error) == sorted(refused)


def test_folders_may_be_deeper_than_calls(tmp_path: Path) -> None:
    depth = 400
    (tmp_path / "/".join("d" * depth)).mkdir(parents=True)
    (tmp_path / "/".join("d" * depth) / "a.csv").touch()
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(depth)
        (source,) = found([str(tmp_path)])
    finally:
        sys.setrecursionlimit(limit)
    assert source.path.endswith("d/a.csv")


def test_a_header_in_a_zip_brings_no_more_files_than_an_ecg_may_have(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as packed:
        for number in range(200):
            packed.writestr(f"{number:03}.hea", "r 1 500 10\n")
        for name in ("r.hea", "s.hea"):
            packed.writestr(name, "r/200 1 500 2000\n" + "".join(f"{number:03} 10\n" for number in range(200)))
    first, second = found([str(tmp_path)])
    assert len(first.members) == len(second.members) == MAX_FILES + 1


def test_a_zip_counts_as_a_folder_only_where_it_holds_several_ecgs(tmp_path: Path) -> None:
    """Else it is read as it is: an .npz is one ECG in several files, and what is damaged says so."""
    several = zipped({**WFDB, "x.csv": CSV})
    arrays = npz(signal=ecg(1).signal_mv, fs=500)
    for name, data in {"arrays": arrays, "cut": several[:-9], "one": zipped(WFDB), "several": several}.items():
        (tmp_path / f"{name}.zip").write_bytes(data)
    errors = {Path(str(row[0])).name: value_of(row, "error") for row in Scorer(job()).rows([*found([str(tmp_path)])])}
    assert errors.pop("cut.zip") == "TruncatedFile"
    assert errors == dict.fromkeys(["arrays.zip", "one.zip", "several.zip!r.hea", "several.zip!x.csv"])


@pytest.mark.parametrize(
    ("n_bytes", "method", "is_opened"),
    [
        (MAX_HEADER_BYTES, zipfile.ZIP_STORED, True),
        (MAX_HEADER_BYTES + 1, zipfile.ZIP_STORED, False),
        (2000, zipfile.ZIP_DEFLATED, True),
        (2000, zipfile.ZIP_LZMA, False),
    ],
)
def test_a_header_in_a_zip_is_opened_only_within_the_limits(
    tmp_path: Path, n_bytes: int, method: int, is_opened: bool
) -> None:
    header = (WFDB["r.hea"] + b"#").ljust(n_bytes, b"x")
    (tmp_path / "a.zip").write_bytes(zipped({**WFDB, "r.hea": header, "x.csv": CSV}, method))
    members = [source.members for source in found([str(tmp_path)])]
    assert members == ([("r.hea", "r.dat"), ("x.csv",)] if is_opened else [("r.dat",), ("r.hea",), ("x.csv",)])


def test_an_ecg_in_a_zip_has_no_more_files_than_one_in_a_folder(tmp_path: Path) -> None:
    row = counts_uv(5000)[0].astype("<i2").tobytes()
    for n_signals in (MAX_FILES - 1, MAX_FILES):
        names = [*LEADS, *(f"X{number}" for number in range(n_signals - len(LEADS)))]
        lines = [f"r {n_signals} 500 5000", *(f"{name}.dat 16 1000/mV 16 0 0 0 0 {name}" for name in names)]
        signals = {f"{name}.dat": row for name in names}
        path = tmp_path / f"{n_signals}.zip"
        path.write_bytes(zipped({"r.hea": "\n".join(lines).encode(), **signals, "x.csv": CSV}))
    fits, too_many = (source for source in found([str(tmp_path)]) if source.members[0] == "r.hea")
    assert fits.read({}).leads == LEADS
    with pytest.raises(UnreadableRecord, match=f"{MAX_FILES + 1} files in the zip are one ECG"):
        too_many.read({})


def test_an_ecg_in_a_zip_is_unpacked_up_to_the_bytes_that_an_ecg_may_have(tmp_path: Path) -> None:
    header, samples = wfdb_pair(np.tile(counts_uv(1000), 800), comments="#").values()
    for more in (0, 1):
        files = {"a.hea": header.ljust(MAX_INPUT_BYTES - len(samples) + more, b"x"), "a.dat": samples}
        (tmp_path / f"{more}.zip").write_bytes(zipped({**files, "x.csv": CSV}, zipfile.ZIP_STORED))
    fits, too_large = (source for source in found([str(tmp_path)]) if source.members[0] == "a.hea")
    assert fits.read({}).duration_s == 1600
    with pytest.raises(RecordTooLarge, match=r"'a\.dat' in the zip"):
        too_large.read({})


def test_what_a_zip_may_not_hold_costs_no_other_ecg_in_it_its_answer(tmp_path: Path) -> None:
    bomb = b"I,II\n" + b"0,0\n" * 1_000_000
    (tmp_path / "a.zip").write_bytes(zipped({"bomb.csv": bomb, "within.csv": zipped({"x.csv": CSV}), "x.csv": CSV}))
    rows = Scorer(job()).rows([*found([str(tmp_path)])])
    assert [value_of(row, "error") for row in rows] == ["RecordTooLarge", "UnreadableRecord", None]
    assert "times its size" in str(value_of(rows[0], "reason"))


def test_a_zip_that_changed_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"x.csv": CSV, "y.csv": CSV}))
    (tmp_path / "b.zip").write_bytes(b"no zip any more")
    for name, member in (("a.zip", "gone.csv"), ("b.zip", "x.csv"), ("gone.zip", "x.csv")):
        with pytest.raises(UnreadableRecord, match="cannot be read any more"):
            Source(str(tmp_path / name), (member,)).read({})


def test_a_table_has_a_row_an_ecg_that_says_what_an_estimate_of_it_alone_says(archive: Path, tmp_path: Path) -> None:
    counts = score_archive(job(archive), tmp_path / "t.ndjson", workers=1, as_finished=False)
    assert counts == Totals(estimated=5, withheld=0, refused=1)
    rows = {Path(row["file"]).name: row for row in map(json.loads, (tmp_path / "t.ndjson").read_text().splitlines())}
    estimator = Estimator.load()
    for name, file in {"r.hea": "a/r.hea", "two.zip!r.hea": "a/r.hea", "b.csv": "b.csv"}.items():
        alone = estimator.estimate(read(archive / file))
        assert alone.interval is not None
        assert rows[name]["potassium_mmol_l"] == alone.potassium_mmol_l
        assert rows[name]["upper_mmol_l"] == alone.interval.upper
        assert rows[name]["flags"].split() == list(alone.flags)
    assert (rows["notes.txt"]["error"], rows["notes.txt"]["potassium_mmol_l"]) == ("UnknownFormat", None)
    assert {row["notice"] for row in rows.values()} == {"RESEARCH_USE_ONLY DEMO_MODEL"}
    with (tmp_path / "t.rejects.csv").open(newline="") as stream:
        (reject,) = csv.DictReader(stream)
    assert (Path(reject["file"]).name, reject["error"]) == ("notes.txt", "UnknownFormat")
    about = {"counts": {"estimated": 5, "withheld": 0, "refused": 1}}
    assert json.loads((tmp_path / "t.about.json").read_text()) == json.loads(json.dumps(job(archive).about() | about))


def test_the_formats_hold_the_same_and_parquet_says_what_it_is(archive: Path, tmp_path: Path) -> None:
    rows = Scorer(job()).rows([*found([str(archive)])])
    for kind in TableFormat:
        with written(tmp_path / f"t.{kind}", kind, job(archive).about()) as table:
            table.add(rows)
    parquet = pyarrow.parquet.ParquetFile(tmp_path / "t.parquet")
    dicts = [json.loads(line) for line in (tmp_path / "t.ndjson").read_text().splitlines()]
    assert parquet.read().to_pylist() == dicts
    with (tmp_path / "t.csv").open(newline="") as stream:
        as_text = [{name: "" if value is None else str(value) for name, value in row.items()} for row in dicts]
        assert list(csv.DictReader(stream)) == as_text
    about = json.loads(parquet.schema_arrow.metadata[b"ecg_ka"])
    assert about["notice"] == "RESEARCH_USE_ONLY DEMO_MODEL"
    assert "not a medical device" in about["disclaimer"]


def test_a_name_in_a_table_is_text_in_one_line_and_no_formula(tmp_path: Path) -> None:
    rows = Scorer(job()).rows([Source("=1+1\n\x1b.txt")])
    with written(tmp_path / "t.csv", TableFormat.CSV, {}) as table:
        table.add(rows)
    with (tmp_path / "t.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["file"] == "'=1+1\\n\\x1b.txt"


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_a_spreadsheet_takes_no_text_of_a_table_for_a_formula(tmp_path: Path, start: str) -> None:
    with (tmp_path / "t.csv").open("w", newline="") as stream:
        CsvTable(stream, ("text", "number")).add([[f"{start}1", -1.0]])
    with (tmp_path / "t.csv").open(newline="") as stream:
        assert [*csv.reader(stream)][1] == [f"'{start}1", "-1.0"]


@pytest.mark.parametrize("kind", TableFormat)
def test_what_a_file_says_spoils_no_table(tmp_path: Path, kind: TableFormat) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"fs_hz": "\ud800\x1b[2J\n", "signal_mv": [[0]] * 12}))
    rows = Scorer(job()).rows([Source(str(tmp_path / "a.json"))])
    with written(tmp_path / "t", kind, {}) as table:
        table.add(rows)
    assert "fs_hz is \\ud800\\x1b[2J\\n in the JSON" in str(value_of(rows[0], "reason"))


def test_a_killed_run_goes_on_to_the_same_bytes_without_reading_twice(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    score_archive(job(many), out, workers=2, as_finished=False)
    whole = {path.name: path.read_bytes() for path in tmp_path.glob("t.*")}
    for name in whole:
        (tmp_path / name).unlink()
    with Journal(tmp_path / "t.parquet.part", job(many).plan(), partial(found, [str(many)])) as journal:
        first = next(journal.missing())
        journal.add(first.number, _scored(job(many), first).rows_json)
    for source in first.sources[1:]:
        Path(source.path).write_bytes(b"not an ECG any more")
    (many / "one more.hea").write_bytes(b"it came later")
    score_archive(job(many), out, workers=1, as_finished=False)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("t.*")} == whole


@pytest.mark.parametrize("torn", [b"", b"0123456789abcdef 2 [[", b"\xff\n", b"0123456789abcdef 2 [[1]]\n"])
def test_of_a_journal_the_whole_lines_count(tmp_path: Path, torn: bytes) -> None:
    sources = [Source(f"{number:03}.dcm") for number in range(2 * CHUNK + 5)]
    for number in (2, 0):
        with Journal(tmp_path / "part", {}, lambda: sources) as journal:
            assert next(journal.missing()).sources == tuple(sources[:CHUNK])
            journal.add(number, f"[[{number}]]")
        with (tmp_path / "part" / "journal").open("ab") as lines:
            lines.write(torn)
    with Journal(tmp_path / "part", {}, lambda: sources) as journal:
        assert [chunk.number for chunk in journal.missing()] == [1]
        assert journal.n_done == CHUNK + 5
        journal.add(1, "[[1]]")
        assert [*journal.rows()] == [[[0]], [[1]], [[2]]]
        assert [*journal.rows_as_finished()] == [[[2]], [[0]], [[1]]]
        assert journal.n_done == journal.n_sources == len(sources)


def test_only_the_same_work_goes_on_and_only_once_at_a_time(many: Path, tmp_path: Path) -> None:
    listing = partial(found, [str(many)])
    part = tmp_path / "t.csv.part"
    with Journal(part, job(many).plan(), listing), pytest.raises(EcgError, match="another process"):
        score_archive(job(many), tmp_path / "t.csv", workers=1, as_finished=False)
    other = Job(inputs=(str(many),), bundle=SHIPPED, level=0.8)
    with pytest.raises(EcgError, match="begun with other"):
        score_archive(other, tmp_path / "t.csv", workers=1, as_finished=False)
    shutil.rmtree(part)
    part.mkdir()
    (part / "mine.txt").write_text("keep me")
    with pytest.raises(EcgError, match="no unfinished table"):
        score_archive(job(many), tmp_path / "t.csv", workers=1, as_finished=False)
    assert (part / "mine.txt").exists()


def test_tables_that_cannot_be_are_refused_before_work_begins(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(EcgError, match=r"expected \.parquet, \.ndjson, \.csv"):
        table_format(tmp_path / "t.xlsx")
    with pytest.raises(EcgError, match="would be scored with it"):
        score_archive(job(archive), archive / "a" / "t.csv", workers=1, as_finished=False)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(EcgError, match="is a folder"):
        score_archive(job(archive), tmp_path / "folder.csv", workers=1, as_finished=False)
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        with pytest.raises(EcgError, match="no file below"):
            score_archive(job(tmp_path / "empty"), tmp_path / "t.csv", workers=1, as_finished=False)
    assert not (tmp_path / "t.csv.part").exists()  # with the list of nothing, that would be taken up


def test_from_another_folder_the_same_words_are_another_plan(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(many.parent)
    here = job(Path(many.name)).plan()
    assert job(Path(many.name)).about() == {name: value for name, value in here.items() if name != "places"}
    monkeypatch.chdir(many)
    assert job(Path(many.name)).plan() != here


def test_no_file_that_a_table_brings_is_overwritten_unasked(tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    assert would_overwrite(out) == []
    for name in ("t.about.json", "t.rejects.csv", "t.parquet"):
        (tmp_path / name).touch()
        assert tmp_path / name in would_overwrite(out)
    (tmp_path / "t.parquet").unlink()
    (tmp_path / "t.parquet.part").mkdir()
    assert would_overwrite(out) == []  # its own, of a run that was killed at its end


def test_texts_are_written_alike_on_every_system(archive: Path, tmp_path: Path) -> None:
    """The interpreter tells where one would be in the encoding of the system."""
    code = (
        "import sys, warnings; warnings.filterwarnings('error', category=EncodingWarning, module='ecg_ka.scoring')\n"
        "from pathlib import Path; from ecg_ka import SHIPPED; from ecg_ka.scoring import Job, score_archive\n"
        "job = Job(inputs=(sys.argv[1],), bundle=SHIPPED, level=0.9)\n"
        "score_archive(job, Path(sys.argv[2]), workers=1, as_finished=False)"
    )
    command = [sys.executable, "-X", "warn_default_encoding", "-c", code]
    assert (
        subprocess.run([*command, archive / "notes.txt", tmp_path / "t.csv"], timeout=120, check=False).returncode == 0
    )


def test_a_process_that_dies_costs_no_other_item_its_result() -> None:
    results = dict(Workers(ends_its_process, 1).finished(range(6)))
    assert results == {number: None if number == 3 else number * number for number in range(6)}


def test_an_ecg_that_ended_its_process_is_refused_with_that_reason() -> None:
    row = Scorer(job()).died(Source("a.dcm"))
    assert len(row) == len(COLUMNS)
    assert [value_of(row, name) for name in ("file", "status", "error")] == ["a.dcm", "refused", "ProcessDied"]


def test_an_unexpected_error_is_a_refusal_of_that_ecg(tmp_path: Path) -> None:
    """A fact that no reader expects stands for a bug in one of them."""
    (tmp_path / "a.csv").write_bytes(CSV)
    wrong = Job(inputs=(), bundle=SHIPPED, level=2.0)
    (row,) = Scorer(wrong).rows([Source(str(tmp_path / "a.csv"))])
    assert value_of(row, "error") == "ValueError"


def test_behind_a_url_stand_the_same_ecgs(archive: Path) -> None:
    pytest.importorskip("fsspec")
    sources = [*found([archive.as_uri()])]
    names = [source.name.removeprefix(f"{archive.as_uri()}/") for source in sources]
    assert sorted(names) == ["a/r.csv", "a/r.hea", "b.csv", "notes.txt", "two.zip"]
    behind = next(source for source in sources if source.name.endswith("r.hea")).read({})
    assert behind.source.sha256 == read(archive / "a" / "r.hea").source.sha256


def test_a_header_behind_a_url_leads_nowhere_else(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    (tmp_path / "secret.dat").write_bytes(bytes(20))
    (tmp_path / "in").mkdir()
    for name in ("../secret.dat", f"file://{tmp_path}/secret.dat"):
        (tmp_path / "in" / "r.hea").write_text(f"r 1 500 10\n{name} 16 1000/mV 16 0 0 0 0 II\n")
        with pytest.raises(UnreadableRecord):
            Source((tmp_path / "in" / "r.hea").as_uri()).read({})
    (tmp_path / "in" / "a.csv").write_bytes(CSV)
    (tmp_path / "in" / "a.csv::memory").write_bytes(b"a name that fsspec takes for two places")
    _, chain, _ = found([(tmp_path / "in").as_uri()])
    with pytest.raises(UnreadableRecord, match="two places"):
        chain.read({})
    with pytest.raises(MissingDependency, match="cannot be opened"):
        Source("nowhere://bucket/r.hea").read({})


def ecg_ka(*arguments: str | Path, code: int = 0) -> str:
    return " ".join("".join(called(*arguments, code=code)).replace("│", " ").split())  # as wide as it may be


def test_the_command_tells_what_became_of_the_ecgs_and_keeps_a_table_that_is_there(
    archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "t.csv"
    told = ecg_ka("estimate", archive, "--out", out, "--workers", "1", code=2)
    assert "5 estimated, 0 withheld, 1 refused; t.rejects.csv tells why" in told
    assert "not a medical device" in told
    assert "6/6" in told
    before = out.read_bytes()
    assert "is there already" in ecg_ka("estimate", archive, "--out", out, code=2)
    assert out.read_bytes() == before
    assert "0 refused" in ecg_ka("estimate", archive / "b.csv", "--out", out, "--force", "--workers", "1")
    ecg_ka("estimate", *(archive / "a").iterdir(), "--out", tmp_path / "files.ndjson", "--workers", "1")
    assert len((tmp_path / "files.ndjson").read_text().splitlines()) == 2  # a header and its signals are one
    assert "choose another place" in ecg_ka("estimate", archive / "a", "--out", out / "t.csv", code=1)  # out is a file
    refused = ecg_ka("estimate", archive, "--out", out, "--json", code=2)
    assert "no place for it" in refused
    assert "--json with --out" in refused
    assert "--history" not in refused


def test_without_ray_the_command_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['ray'] = None; from ecg_ka.cli import main; main()"
    command = [sys.executable, "-c", code, "score", str(tmp_path), "--out", str(tmp_path / "o")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "pip install 'ecg-ka[cluster]'" in done.stderr


def test_a_chunk_is_a_line_of_the_listing_again() -> None:
    source = Source("a\udcff.zip", ("x/r.hea", "x/r.dat"))
    assert Source.from_line(source.to_line()) == source
    assert Chunk(0, (source,)).sources[0].name == "a\\udcff.zip!x/r.hea"
