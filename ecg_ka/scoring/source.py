"""Where one ECG of an archive lies, and how it is read from there."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ecg_ka.errors import UnreadableRecord, one_line
from ecg_ka.readers import read
from ecg_ka.readers.archive import ZIP_ERRORS, check_member, read_member
from ecg_ka.readers.limits import MAX_FILES, MAX_INPUT_BYTES
from ecg_ka.record import EcgRecord
from ecg_ka.scoring import object_store


@dataclass(frozen=True, slots=True)
class Source:
    """A path or URL, or the ``members`` of the zip there that are one ECG, its main file first."""

    path: str
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The source in one line, whatever bytes its name holds."""
        return one_line(f"{self.path}!{self.members[0]}" if self.members else self.path)

    def read(self, facts: dict[str, Any]) -> EcgRecord:
        """The ECG; ``facts`` are what :func:`~ecg_ka.readers.read` takes for files that lack them.

        Raises:
            UnreadableRecord, UnusableRecord: as when it is read alone.
        """
        if object_store.is_url(self.path):
            return read(object_store.contents(self.path), **facts)
        return read(_unpacked(self) if self.members else Path(self.path), **facts)

    def to_line(self) -> str:
        """One line of JSON; :meth:`from_line` is its inverse."""
        return json.dumps([self.path, *self.members])

    @classmethod
    def from_line(cls, line: str) -> Source:
        """From :meth:`to_line`."""
        path, *members = json.loads(line)
        return cls(path, tuple(members))


def _unpacked(source: Source) -> dict[str, bytes]:
    if len(source.members) > MAX_FILES:
        raise UnreadableRecord(f"{len(source.members)} files in the zip are one ECG; expected at most {MAX_FILES}")
    contents: dict[str, bytes] = {}
    room = MAX_INPUT_BYTES
    try:
        archive = _opened(source.path)
        for member in source.members:
            info = archive.getinfo(member)
            check_member(info)
            contents[member] = read_member(archive, info, room)
            room -= len(contents[member])
    except (*ZIP_ERRORS, KeyError) as error:
        raise UnreadableRecord(f"the zip cannot be read any more: {str(error)[:80]}") from None
    return contents


@lru_cache(maxsize=1)
def _opened(path: str) -> zipfile.ZipFile:
    """The directory of a zip is read once for all ECGs in it."""
    return zipfile.ZipFile(path)
