"""An unfinished table, of which a killed run loses nothing that it has written down.

OUT.part/plan.json   what is being made; only the same plan goes on
OUT.part/sources     the ECGs, a line each, as they were found when the run was begun
OUT.part/journal     a line a chunk of them: check sum, number of the chunk, rows as JSON; in the order of getting done
OUT.part/lock        held by the process that writes

The journal only grows. After a kill, a full disk or a power cut the lines up to the first that is not whole are good;
what follows is cut off and made again. Two numbers a chunk are held in memory, whatever the number of ECGs.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from ecg_ka.errors import EcgError
from ecg_ka.scoring.row import Row
from ecg_ka.scoring.source import Source
from ecg_ka.scoring.unfinished import line_of, lock, text_of

CHUNK = 32
"""ECGs that a process scores before it hands over their rows, and that a killed run may read again."""

_ABSENT = -1


class Chunk(NamedTuple):
    """Some sources that stand together, and which of all chunks they are."""

    number: int
    sources: tuple[Source, ...]


class Journal:
    """Takes the rows of chunks in any order; what it has, also from runs before, is not asked for again.

    Raises:
        EcgError: another process writes, or the folder holds something else or was begun by another plan.
        OSError: the disk.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], found: Callable[[], Iterable[Source]]) -> None:
        self._folder, self._plan, self._found = folder, plan, found
        self.n_sources = 0
        self._places = array("q")  # of the line of each chunk in the journal

    def __enter__(self) -> Journal:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = lock(self._folder)
        except BlockingIOError:
            raise EcgError(f"{self._folder}: another process is at work on this table; wait for it") from None
        try:
            self._accept_plan()
            self.n_sources = self._list()
            self._places = array("q", [_ABSENT]) * -(-self.n_sources // CHUNK)
            path = self._folder / "journal"
            path.touch()
            self._lines = path.open("r+b")
            self._open()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._lines, self._lock):
            with suppress(OSError):  # of a full disk, which was told already; nothing that counts is in a buffer
                file.close()

    @property
    def n_done(self) -> int:
        """How many ECGs have their rows."""
        n_chunks = len(self._places) - self._places.count(_ABSENT)
        last = n_chunks and self._places[-1] != _ABSENT
        return n_chunks * CHUNK - (-self.n_sources % CHUNK if last else 0)

    def missing(self) -> Iterator[Chunk]:
        """The chunks that have no rows yet."""
        with (self._folder / "sources").open(encoding="utf-8") as lines:
            for number in range(len(self._places)):
                chunk = list(islice(lines, CHUNK))
                if self._places[number] == _ABSENT:
                    yield Chunk(number, tuple(map(Source.from_line, chunk)))

    def add(self, number: int, rows_json: str) -> None:
        """Append the rows of a chunk."""
        place = self._lines.tell()
        self._lines.write(line_of(f"{number} {rows_json}"))
        self._lines.flush()
        self._places[number] = place

    def rows(self) -> Iterator[list[Row]]:
        """All rows, chunk by chunk, in the order of the sources."""
        for place in self._places:
            yield self._rows_at(place)

    def rows_as_finished(self) -> Iterator[list[Row]]:
        """All rows, chunk by chunk, in the order of getting done."""
        self._lines.seek(0)
        while line := self._lines.readline():
            yield _rows_of(line)

    def _rows_at(self, place: int) -> list[Row]:
        self._lines.seek(place)
        return _rows_of(self._lines.readline())

    def _accept_plan(self) -> None:
        path, text = self._folder / "plan.json", json.dumps(self._plan, indent=1, sort_keys=True)
        if path.is_file():
            if path.read_text(encoding="utf-8") != text:
                raise EcgError(
                    f"{self._folder} was begun with other files, options, model or version; run the command as before "
                    "to go on with it, or delete the folder to start anew"
                )
            return
        if {found.name for found in self._folder.iterdir()} - {"lock", "plan.json.part"}:
            raise EcgError(f"{self._folder} is no unfinished table of this program; move it away")
        part = path.with_name("plan.json.part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)

    def _list(self) -> int:
        """Write down what is there, once: a folder may change while its ECGs are scored."""
        path = self._folder / "sources"
        if not path.is_file():
            part = path.with_name("sources.part")
            with part.open("w", encoding="utf-8") as lines:
                lines.writelines(source.to_line() + "\n" for source in self._found())
            part.replace(path)
        with path.open("rb") as stream:
            return sum(block.count(b"\n") for block in iter(lambda: stream.read(2**20), b""))

    def _open(self) -> None:
        """Find the lines that are whole, and cut off what follows."""
        end = 0
        for line in self._lines:
            text = text_of(line)
            if text is None:
                break
            self._places[int(text.partition(" ")[0])] = end
            end += len(line)
        self._lines.seek(end)
        self._lines.truncate()


def _rows_of(line: bytes) -> list[Row]:
    rows: list[Row] = json.loads(line.split(b" ", 2)[2])
    return rows
