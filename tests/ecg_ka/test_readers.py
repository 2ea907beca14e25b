"""What is handed to ``read``: paths, folders, bytes, uploads, archives; and that nothing else is ever opened."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_ka import errors
from ecg_ka.readers import intake, read
from ecg_ka.readers.limits import MAX_FILES, MAX_INPUT_BYTES
from tests.ecg_ka.writers import counts_uv, csv, dicom, dicom_group, header, json_text, wfdb_pair, wfdb_stored, zipped

UV = counts_uv()
MV = UV * 1e-3
PAIR = wfdb_pair(UV)


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_one_record_however_it_is_handed_over(tmp_path: Path) -> None:
    folder = _write(tmp_path / "rec", PAIR | {"RECORDS": b"a\n", "a.atr": b"\x00\x01"})
    (folder / "more").mkdir()
    (tmp_path / "rec.zip").write_bytes(
        zipped({"LICENSE.txt": b"...", "x/a.hea": PAIR["a.hea"], "x/a.dat": PAIR["a.dat"]})
    )
    sources: list[Any] = [
        folder,
        folder / "a.hea",
        str(folder / "a.hea"),
        folder / "a.dat",
        tmp_path / "rec.zip",
        (tmp_path / "rec.zip").read_bytes(),
        PAIR,
        {"rec.zip": (tmp_path / "rec.zip").read_bytes()},
    ]
    records = [read(source) for source in sources]
    for record in records:
        np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)
    assert len({record.source.sha256 for record in records}) == 1


def test_bytes_of_every_kind() -> None:
    data = json_text(MV)
    for source in (bytearray(data), memoryview(data), {"x": bytearray(data)}):
        assert read(source).source.sha256 == read(data).source.sha256  # type: ignore[arg-type]


def test_a_folder_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _write(tmp_path / "large", {f"{number}.dat": bytes(9_000_000) for number in range(4)})
    read_before: list[str] = []
    regular = intake._regular

    def counted(path: Path, *room: int) -> bytes:
        data = regular(path, *room)
        read_before.append(path.name)
        return data

    monkeypatch.setattr(intake, "_regular", counted)
    with pytest.raises(errors.RecordTooLarge):
        read(folder)
    assert read_before == ["0.dat", "1.dat"]


def test_the_format_is_known_by_content_and_not_by_name(tmp_path: Path) -> None:
    for data, name in ((dicom(dicom_group(UV)), "DICOM"), (json_text(MV), "JSON"), (csv(MV, time="t"), "CSV")):
        (tmp_path / "ecg.hea").write_bytes(data)
        assert read(tmp_path / "ecg.hea").source.format == name
        assert read(data).source.format == name
        assert read(zipped({"x": data})).source.sha256 == read(data).source.sha256


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"hello", b"<?xml version='1.0'?><a/>", b"\x00" * 500, PAIR["a.dat"], b"SCPECG" * 40, b"\x1f\x8b\x08"],
)
def test_what_is_not_known_is_told_what_is(data: bytes) -> None:
    with pytest.raises(errors.UnknownFormat, match=r"Read are: DICOM.*\.npy.*JSON.*WFDB.*CSV.*zip"):
        read(data)


@pytest.mark.parametrize("source", [b"", {}, {"a.hea": b""}, zipped({}), {"a.zip": zipped({"a.hea": b""})}])
def test_empty(source: Any) -> None:
    with pytest.raises(errors.EmptyFile):
        read(source)


def test_two_records_are_not_one() -> None:
    with pytest.raises(errors.UnreadableRecord, match="2 records"):
        read({"a.json": json_text(MV), "b.json": json_text(MV)})
    with pytest.raises(errors.UnreadableRecord, match=r"'a\.hea'"):
        read({"x/a.hea": PAIR["a.hea"], "y/a.hea": PAIR["a.hea"], "x/a.dat": PAIR["a.dat"]})


def test_a_header_alone_asks_for_its_samples(tmp_path: Path) -> None:
    (tmp_path / "a.hea").write_bytes(PAIR["a.hea"])
    for source in (PAIR["a.hea"], tmp_path / "a.hea", tmp_path):
        with pytest.raises(errors.ForeignReference, match=r"'a\.dat'.*Give both"):
            read(source)


def test_samples_that_look_like_another_format_belong_to_their_header() -> None:
    samples = json_text(MV)[:24_000]
    assert read({"a.hea": PAIR["a.hea"], "a.dat": samples}).source.format == "WFDB"


@pytest.mark.parametrize("name", ["../a.hea", "/a.hea", "x/../../a.hea", "C:\\a.hea", "..\\a.hea", "a\x00.hea"])
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(errors.ForeignReference):
        read({name: PAIR["a.hea"], "a.dat": PAIR["a.dat"]})
    with pytest.raises(errors.ForeignReference):
        read(zipped({name.replace("\x00", ":"): PAIR["a.hea"], "a.dat": PAIR["a.dat"]}))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path / "none",
        tmp_path / "pipe",
        Path("/dev/zero"),
        "a\x00b",
        "x" * 5000,
        "http://127.0.0.1/a.hea",
    ):
        with pytest.raises(errors.UnreadableRecord):
            read(path)
    with pytest.raises(errors.UnreadableRecord, match="pipe"):
        read(tmp_path)
    (tmp_path / "void").mkdir()
    with pytest.raises(errors.EmptyFile):
        read(tmp_path / "void")


def test_links_may_not_leave_the_folder(tmp_path: Path) -> None:
    outside = _write(tmp_path / "outside", {"a.dat": PAIR["a.dat"]})
    inside = _write(tmp_path / "inside", {"a.hea": PAIR["a.hea"]})
    (inside / "a.dat").symlink_to(outside / "a.dat")
    for source in (inside / "a.hea", inside):
        with pytest.raises(errors.ForeignReference, match="link"):
            read(source)
    (inside / "a.dat").unlink()
    (inside / "b.dat").write_bytes(PAIR["a.dat"])
    (inside / "a.dat").symlink_to(inside / "b.dat")
    assert read(inside / "a.hea").leads


def test_too_large(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as stream:
        stream.truncate(10**12)  # sparse
    for source in (big, bytes(MAX_INPUT_BYTES + 1), {"a": bytes(MAX_INPUT_BYTES), "b": b"x"}):
        with pytest.raises(errors.RecordTooLarge):
            read(source)
    with pytest.raises(errors.RecordTooLarge):
        read({str(number): b"x" for number in range(MAX_FILES + 1)})
    crowd = _write(tmp_path / "crowd", {str(number): b"x" for number in range(MAX_FILES + 1)})
    with pytest.raises(errors.RecordTooLarge, match="the folder holds more"):  # known before a file is read
        read(crowd)


def test_an_ecg_may_stand_among_as_many_files_as_the_limit_says(tmp_path: Path) -> None:
    contents = PAIR | {f"{number}.txt": b"..." for number in range(MAX_FILES - len(PAIR))}
    for source in (contents, zipped(contents), _write(tmp_path / "folder", contents)):
        assert read(source).source.sha256 == read(PAIR).source.sha256


def _member(mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("a.dat")
    info.external_attr = mode << 16
    return info


def test_archives_of_links_and_devices() -> None:
    for mode in (stat.S_IFLNK | 0o777, stat.S_IFCHR, stat.S_IFIFO):
        stream = BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("a.hea", PAIR["a.hea"])
            archive.writestr(_member(mode), "/etc/passwd")
        with pytest.raises(errors.ForeignReference):
            read(stream.getvalue())


def _patched(data: bytes, offset: int, value: bytes) -> bytes:
    """The archive with bytes of its first local header and first directory entry changed alike."""
    entry = data.index(b"PK\x01\x02")
    local = data[:offset] + value + data[offset + len(value) :]
    return local[: entry + offset + 2] + value + local[entry + offset + 2 + len(value) :]


def test_archive_bombs() -> None:
    bomb = zipped({"a.csv": b"0" * 25_000_000})
    ratio = zipped({"a.csv": b"0" * 15_000_000})
    liar = _patched(bomb, 22, (1000).to_bytes(4, "little"))  # the declared size
    for data in (bomb, ratio, zipped({f"{n}.csv": b"x" for n in range(MAX_FILES + 1)})):
        with pytest.raises(errors.RecordTooLarge):
            read(data)
    with pytest.raises(errors.UnreadableRecord):
        read(liar)


def test_archives_that_are_refused() -> None:
    good = zipped(PAIR)
    refused = {
        "within": zipped({"b.zip": good}),
        "encrypted": _patched(good, 6, b"\x01\x00"),
        "another method": zipped(PAIR, zipfile.ZIP_LZMA),
        "damaged": good[:200] + bytes(20) + good[220:],
    }
    for words, data in refused.items():
        with pytest.raises(errors.UnreadableRecord, match=words):
            read(data)
    with pytest.raises(errors.TruncatedFile):
        read(good[:-30])
    with pytest.raises(errors.UnreadableRecord, match="zip"):
        read({"a.zip": good, "b.hea": PAIR["a.hea"]})


_opened: list[str] = []
_watching = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("open", "os.listdir", "os.scandir", "socket.connect", "subprocess.Popen"):
        _opened.append(str(arguments[0]))


sys.addaudithook(_hook)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Every path opened while the test runs."""
    global _watching
    _opened.clear()
    _watching = True
    yield _opened
    _watching = False


def test_nothing_outside_is_opened_and_nothing_is_left_behind(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "tmp"
    _write(private, {})
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    secret = tmp_path / "secret.dat"
    secret.write_bytes(PAIR["a.dat"])
    inside = _write(tmp_path / "inside", {"b.dat": PAIR["a.dat"]})
    for name in ("../secret.dat", str(secret), f"file://{secret}", "secret.dat", "..", "x/../../secret.dat"):
        for storage in ("16", "212"):
            (inside / "a.hea").write_bytes(header(file=name, storage=storage))
            opened.clear()
            for source in (inside / "a.hea", inside, {"a.hea": header(file=name, storage=storage)}):
                with pytest.raises(errors.ForeignReference):
                    read(source)
            assert {Path(path).parent for path in opened if path.startswith("/")} <= {inside, inside.parent}
            assert secret not in {Path(path).resolve() for path in opened}
    (inside / "a.hea").write_bytes(header(file="b.dat", storage="310"))
    (inside / "b.dat").write_bytes(wfdb_stored(UV.clip(-500, 500), "310"))
    read(inside / "a.hea")  # packed: goes through the private folder
    assert list(private.iterdir()) == []
