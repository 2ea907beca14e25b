"""The ECGs below some folders, in the order of their paths.

A WFDB header and the files that it names are one ECG, each other file is one, whatever its name; in a zip as in a
folder. Hidden files and what links to folders are left out. Only the names of one folder or zip are held at a time.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ecg_ka.errors import EcgError
from ecg_ka.readers import wfdb_header
from ecg_ka.readers.archive import ZIP_ERRORS, check_member, read_member
from ecg_ka.readers.limits import MAX_HEADER_BYTES
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
    try:
        with os.scandir(folder) as entries:
            shown = [(e.name, e.is_dir(follow_symlinks=False)) for e in entries if not e.name.startswith(_HIDDEN)]
    except OSError:
        yield Source(folder)  # reading it will say what is wrong
        return
    shown.sort()
    names = [name for name, is_folder in shown if not is_folder]
    named = _named(names, lambda name: _header(str(Path(folder, name))))
    for name in names:
        if name not in named:
            yield from _of_file(str(Path(folder, name)))
    for name, is_folder in shown:
        if is_folder:
            yield from _below(str(Path(folder, name)))


def _of_file(path: str) -> Iterator[Source]:
    """The ECGs of a zip; any other file, and a zip that holds one ECG or none, is read as it is."""
    records = _in_zip(path) if path.lower().endswith(".zip") else []
    if len(records) < 2:
        yield Source(path)
    else:
        yield from (Source(path, members) for members in records)


def _in_zip(path: str) -> list[tuple[str, ...]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            names = sorted(name for name in members if not _is_hidden(name))
            if all(name.endswith(".npy") for name in names):
                return []  # an .npz
            files = {name: _beside(name, _header_in_zip(archive, members[name])) for name in names if _is_header(name)}
    except ZIP_ERRORS:
        return []
    named = {file for header, together in files.items() for file in together if file != header}
    return [(name, *_with_all(name, files, members)) for name in names if name not in named]


def _with_all(header: str, files: dict[str, tuple[str, ...]], members: Iterable[str]) -> Iterator[str]:
    """The files that a header names, and those that the headers among them name."""
    seen, waiting = {header}, list(files.get(header, ()))
    for name in waiting:
        if name not in seen and name in members:
            seen.add(name)
            waiting += files.get(name, ())
            yield name


def _named(names: Iterable[str], header: Callable[[str], bytes]) -> set[str]:
    """Files that a header among the names names."""
    headers = [name for name in names if _is_header(name)]
    return {file for name in headers for file in _signal_files(header(name)) if file != name}


def _is_header(name: str) -> bool:
    return name.lower().endswith(".hea")


def _is_hidden(name: str) -> bool:
    return any(part.startswith(_HIDDEN) for part in name.replace("\\", "/").split("/"))


def _beside(name: str, header: bytes) -> tuple[str, ...]:
    folder = name.rpartition("/")[0]
    return tuple(f"{folder}/{file}" if folder else file for file in _signal_files(header))


def _signal_files(header: bytes) -> tuple[str, ...]:
    return wfdb_header.signal_files(header) if wfdb_header.recognises(header) else ()


def _header(path: str) -> bytes:
    """The bytes of a header; none where reading the ECG will say what is wrong."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as stream:
            return stream.read(MAX_HEADER_BYTES)
    except OSError:
        return b""


def _header_in_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        check_member(info)
        return read_member(archive, info, MAX_HEADER_BYTES)
    except EcgError:
        return b""
