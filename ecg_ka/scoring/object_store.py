"""ECGs behind URLs (s3://, gs://, file://), by fsspec (extra ``cluster``).

URLs come from whoever runs the command, and from the listings of what they name; never from the content of a file: a
header can only name files that stand beside it. Credentials and end points are fsspec's to find (its configuration).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ecg_ka.errors import MissingDependency, UnreadableRecord
from ecg_ka.readers import wfdb_header
from ecg_ka.readers.limits import MAX_FILES, MAX_INPUT_BYTES, check_bytes

if TYPE_CHECKING:
    from types import ModuleType

_CHAIN = "::"  # of fsspec, in any name: what follows would be a place of its own
_BESIDE_HEADERS = ("dat", "mat")


def is_url(path: str) -> bool:
    """Whether this is a URL and not a path."""
    return "://" in path


def found(url: str) -> Iterator[str]:
    """The URLs of the ECGs below one, by folder and name. As opening every header would take a request each, a .dat or
    .mat beside a header of the same name belongs to it unseen.

    Raises:
        UnreadableRecord: the store cannot be listed.
    """
    filesystem, root = _located(url)
    try:
        if filesystem.isfile(root):
            yield url
            return
        for folder, _, names in filesystem.walk(root, on_error="raise"):
            headers = {name[: -len(".hea")] for name in names if name.endswith(".hea")}
            for name in sorted(names):
                stem, _, suffix = name.rpartition(".")
                if name and not name.startswith(".") and not (suffix in _BESIDE_HEADERS and stem in headers):
                    yield filesystem.unstrip_protocol(f"{folder}/{name}")
    except OSError as error:
        raise UnreadableRecord(f"{url[:200]!r} cannot be listed: {error.strerror or str(error)[:80]}") from None


def contents(url: str) -> Mapping[str, bytes]:
    """The file at a URL, and those beside it that it names when it is a WFDB header.

    Raises:
        UnreadableRecord: there is no such file, or its name holds a place of its own.
        RecordTooLarge: too many bytes.
    """
    filesystem, path = _located(url)
    folder, _, name = path.rpartition("/")
    files = {name: _bytes(filesystem, path, MAX_INPUT_BYTES)}
    headers = [files[name]] if wfdb_header.recognises(files[name]) else []
    for header in headers:  # grows by the headers of segments
        for beside in wfdb_header.signal_files(header):
            if beside in files or len(files) == MAX_FILES or not filesystem.exists(f"{folder}/{beside}"):
                continue  # the reader says what is missing
            files[beside] = _bytes(filesystem, f"{folder}/{beside}", MAX_INPUT_BYTES - sum(map(len, files.values())))
            if wfdb_header.recognises_segments(header):
                headers.append(files[beside])
    return files


def _located(url: str) -> tuple[Any, str]:
    if _CHAIN in url:
        raise UnreadableRecord(
            f"{url[:200]!r} names two places by {_CHAIN!r}; expected one: a name may not lead elsewhere"
        )
    try:
        filesystem, path = fsspec().core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise MissingDependency(f"{url[:200]!r} cannot be opened: {str(error)[:200]}") from None
    return filesystem, path


def fsspec() -> ModuleType:
    """The module.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import fsspec
    except ImportError:
        raise MissingDependency("URLs need fsspec: pip install 'ecg-ka[cluster]'") from None
    return fsspec  # type: ignore[no-any-return]


def _bytes(filesystem: Any, path: str, room: int) -> bytes:
    try:
        with filesystem.open(path, "rb") as stream:
            data = bytes(stream.read(room + 1))
    except OSError as error:
        raise UnreadableRecord(f"{path[-200:]!r} cannot be read: {error.strerror or str(error)[:80]}") from None
    check_bytes(MAX_INPUT_BYTES - room + len(data), MAX_INPUT_BYTES, "the record")
    return data
