"""From what the caller hands over (path, bytes, uploaded files) to file contents by plain name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from ecg_ka.errors import EmptyFile, ForeignReference, RecordTooLarge, UnreadableRecord
from ecg_ka.readers import archive, registry, wfdb_header
from ecg_ka.readers.limits import MAX_FILES, MAX_HEADER_BYTES, MAX_INPUT_BYTES, check_bytes


def from_bytes(data: bytes) -> Mapping[str, bytes]:
    """One nameless file, or the files of a zip.

    Raises:
        RecordTooLarge: too many bytes; the errors of :func:`~ecg_ka.readers.archive.unpack`.
    """
    check_bytes(len(data), MAX_INPUT_BYTES, "the file")
    return _flat(archive.unpack(data)) if archive.is_zip(data) else {"": data}


def from_upload(contents: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Uploaded files by name, or the files of the one zip among them; folders in front of names are dropped.

    Raises:
        RecordTooLarge, ForeignReference, UnreadableRecord: as for archives.
    """
    _check_total(contents)
    if len(contents) == 1:
        (data,) = contents.values()
        if archive.is_zip(data):
            return from_bytes(data)
    zips = [name for name, data in contents.items() if archive.is_zip(data)]
    if zips:
        raise UnreadableRecord(f"{zips[0][:60]!r} is a zip among other files; expected the zip alone")
    return _flat(contents)


def from_path(path: Path) -> Mapping[str, bytes]:
    """The file at ``path``, the files beside it that belong to it, or all files of a folder (not of its subfolders).

    Beside a WFDB header stand the signal files or segments that it names; beside a signal file its header.

    Raises:
        UnreadableRecord: there is no such file, or it is not a regular file.
        ForeignReference: a file beside it is a link out of the folder.
        RecordTooLarge: too many bytes or files.
    """
    try:
        if path.is_dir():
            return from_upload(_folder(path))
        data = _regular(path)
    except (OSError, ValueError) as error:
        raise UnreadableRecord(f"{str(path)[:200]!r} cannot be opened: {_reason(error)}") from None
    if archive.is_zip(data):
        return from_bytes(data)
    return _with_companions(path, data)


def opened(path: Path) -> BinaryIO:
    """A regular file, opened without waiting: a pipe cannot hold the program up.

    Raises:
        UnreadableRecord: it is a pipe, a folder, a device.
        OSError: it cannot be opened.
    """
    stream = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise UnreadableRecord(f"{path.name[:60]!r} is not a regular file; expected an ECG file")
    return stream


def named_by(path: Path) -> tuple[str, ...]:
    """The names of the files beside it that the WFDB header at ``path`` names; none for another file, and for one that
    cannot be read: reading the record will say what is wrong."""
    try:
        with opened(path) as stream:
            data = stream.read(MAX_HEADER_BYTES)
    except (OSError, ValueError, UnreadableRecord):
        return ()
    return wfdb_header.signal_files(data) if wfdb_header.recognises(data) else ()


def _with_companions(path: Path, data: bytes) -> Mapping[str, bytes]:
    contents = {path.name: data}
    if registry.recognise(data) is None and path.with_suffix(".hea").name != path.name:
        header = _beside_or_none(path.parent, path.with_suffix(".hea").name, _room(contents))
        if header is None or not wfdb_header.recognises(header) or path.name not in wfdb_header.signal_files(header):
            return contents
        contents[path.with_suffix(".hea").name] = data = header
    headers = [data] if wfdb_header.recognises(data) else []
    for header in headers:  # grows by the headers of segments
        for name in wfdb_header.signal_files(header):
            content = None if name in contents else _beside_or_none(path.parent, name, _room(contents))
            if content is None:
                continue
            contents[name] = content
            _check_total(contents)
            if wfdb_header.recognises_segments(header):
                headers.append(content)
    return contents


def _folder(path: Path) -> Mapping[str, bytes]:
    contents: dict[str, bytes] = {}
    for name in _names(path):
        contents[name] = _beside(path, name, _room(contents))
    return contents


def _names(path: Path) -> list[str]:
    names = []
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                names.append(entry.name)
            if len(names) > MAX_FILES:
                raise RecordTooLarge(f"the folder holds more than {MAX_FILES} files; expected one ECG")
    if not names:
        raise EmptyFile("the folder holds no file; expected one ECG")
    return sorted(names)


def _beside_or_none(folder: Path, name: str, room: int) -> bytes | None:
    try:
        return _beside(folder, name, room)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableRecord(f"{name[:60]!r} beside the file cannot be opened: {_reason(error)}") from None


def _beside(folder: Path, name: str, room: int) -> bytes:
    """The bytes, at most ``room``, of a file in ``folder``, which may not be a link out of it."""
    path = folder / name
    if path.resolve().parent != folder.resolve():
        raise ForeignReference(f"{name[:60]!r} is a link out of its folder; expected a plain file. Copy it there.")
    return _regular(path, room)


def _regular(path: Path, room: int = MAX_INPUT_BYTES) -> bytes:
    """The bytes, at most ``room``, of a regular file."""
    with opened(path) as stream:
        what = "the record" if room < MAX_INPUT_BYTES else repr(path.name[:60])
        read_before = MAX_INPUT_BYTES - room
        check_bytes(read_before + os.fstat(stream.fileno()).st_size, MAX_INPUT_BYTES, what)
        data = stream.read(room + 1)
    check_bytes(read_before + len(data), MAX_INPUT_BYTES, what)
    return data


def _room(contents: Mapping[str, bytes]) -> int:
    """How many bytes more one record may hold."""
    return MAX_INPUT_BYTES - sum(map(len, contents.values()))


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)[:80]


def _check_total(contents: Mapping[str, bytes]) -> None:
    if len(contents) > MAX_FILES:
        raise RecordTooLarge(f"{len(contents)} files; expected at most {MAX_FILES}, of one ECG")
    check_bytes(sum(map(len, contents.values())), MAX_INPUT_BYTES, "the record")


def _flat(contents: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Contents by name without folders; a header and its signals always stand in one folder."""
    _refuse_clashes(names := [_last_part(name) for name in contents])
    return dict(zip(names, contents.values(), strict=True))


def _last_part(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" != name or ":" in name or "\x00" in name:
        raise ForeignReference(f"the file name {name[:60]!r} leads elsewhere; expected a plain name")
    return parts[-1]


def _refuse_clashes(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UnreadableRecord(f"two files are called {name[:60]!r}; expected the files of one ECG")
        seen.add(name)
