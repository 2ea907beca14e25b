"""The ECGs below some folders, in the order of their paths.

A WFDB header and the files that it names are one ECG, each other file is one, whatever its name; in a zip as in a
folder. Hidden files and what links to folders are left out. Only the names of one folder or zip are held at a time.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ecg_ka.errors import EcgError, UnreadableRecord
from ecg_ka.readers import wfdb_header
from ecg_ka.readers.archive import ZIP_ERRORS, check_member, read_member
from ecg_ka.readers.intake import named_by, opened
from ecg_ka.readers.limits import MAX_FILES, MAX_HEADER_BYTES
from ecg_ka.scoring import object_store
from ecg_ka.scoring.source import Source

_HIDDEN = (".", "__MACOSX")


def found(inputs: Iterable[str]) -> Iterator[Source]:
    """The ECGs of files, of folders with all below them, and of URLs of these."""
    for path in inputs:
        if object_store.is_url(path):
            yield from map(Source, object_store.found(path))
        elif Path(path).is_dir():
            yield from _below(path)
        else:
            yield from _of_file(path)


def _below(folder: str) -> Iterator[Source]:
    waiting = [folder]  # however deep they are
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                shown = sorted((e.name, e.is_dir(follow_symlinks=False)) for e in entries if not _is_left_out(e))
        except OSError:
            yield Source(folder)  # reading it will say what is wrong
            continue
        yield from _of_files(folder, [name for name, is_folder in shown if not is_folder])
        waiting += [str(Path(folder, name)) for name, is_folder in reversed(shown) if is_folder]


def _is_left_out(entry: os.DirEntry[str]) -> bool:
    links_to_folder = entry.is_symlink() and os.path.isdir(entry.path)  # noqa: PTH112 - Path's raises at some links
    return entry.name.startswith(_HIDDEN) or links_to_folder


def _of_files(folder: str, names: list[str]) -> Iterator[Source]:
    named = {file for name in names if _is_header(name) for file in named_by(Path(folder, name)) if file != name}
    for name in names:
        if name not in named:
            yield from _of_file(str(Path(folder, name)))


def _of_file(path: str) -> Iterator[Source]:
    """The ECGs of a zip; any other file, and a zip that holds one ECG or none, is read as it is."""
    records = _in_zip(path) if path.lower().endswith(".zip") else []
    if len(records) < 2:
        yield Source(path)
    else:
        yield from (Source(path, members) for members in records)


def _in_zip(path: str) -> list[tuple[str, ...]]:
    try:
        with opened(Path(path)) as stream, zipfile.ZipFile(stream) as archive:
            members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            names = sorted(name for name in members if not _is_hidden(name))
            if all(name.endswith(".npy") for name in names):
                return []  # an .npz
            files = {name: _beside(name, _header_in_zip(archive, members[name])) for name in names if _is_header(name)}
    except (*ZIP_ERRORS, UnreadableRecord):
        return []
    named = {file for header, together in files.items() for file in together if file != header}
    return [(name, *islice(_with_all(name, files, members), MAX_FILES)) for name in names if name not in named]


def _with_all(header: str, files: dict[str, tuple[str, ...]], members: Iterable[str]) -> Iterator[str]:
    """The files that a header names, and those that the headers among them name."""
    seen, waiting = {header}, list(files.get(header, ()))
    for name in waiting:
        if name not in seen and name in members:
            seen.add(name)
            waiting += files.get(name, ())
            yield name


def _is_header(name: str) -> bool:
    return name.lower().endswith(".hea")


def _is_hidden(name: str) -> bool:
    return any(part.startswith(_HIDDEN) for part in name.replace("\\", "/").split("/"))


def _beside(name: str, header: bytes) -> tuple[str, ...]:
    folder = name.rpartition("/")[0]
    files = wfdb_header.signal_files(header) if wfdb_header.recognises(header) else ()
    return tuple(f"{folder}/{file}" if folder else file for file in files)


def _header_in_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        check_member(info)
        return read_member(archive, info, MAX_HEADER_BYTES)
    except EcgError:
        return b""
