"""An unfinished cohort, of which a killed run loses nothing that it has written down.

OUT.part/plan.json           what is being made; only the same plan goes on
OUT.part/journal             a line a part: check sum, then as JSON its size, facts, rejects, and SHA-256 of all samples
                             up to its end
OUT.part/cohort/signals.npy  the samples of part 0, 1, ...; its header gets the number of ECGs at the end
OUT.part/lock                held by the process that writes

Both files only grow, samples before the line that vouches for them. So after a kill, a full disk or a power cut the
parts up to the first whose line or samples are not as they should be are good; what follows is cut off and made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg_ka.scoring.unfinished import line_of, lock, text_of
from training.files import write_atomically


class Reject(NamedTuple):
    """A file that is not in the cohort, and why."""

    path: str
    reason: str


class Part(NamedTuple):
    """Some ECGs: ``steps`` (B, leads, T), ``facts`` by name with B values each that JSON can hold, and the files that
    were left out on the way."""

    steps: NDArray[np.int16]
    facts: dict[str, list[Any]]
    rejects: list[Reject]


class Done(NamedTuple):
    """A part that is written down."""

    n: int
    facts: dict[str, list[Any]]
    rejects: list[Reject]


class Journal:
    """Takes parts of shape (B, *``shape``) in order; ``done`` are those that it has, also from runs before.

    Raises:
        FileExistsError: another process writes, or ``folder`` holds something else or was begun by another plan.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], shape: tuple[int, int]) -> None:
        self.folder, self._plan, self._shape = folder, plan, shape
        self.signals = folder / "cohort" / "signals.npy"
        self.done: list[Done] = []
        self._hash = hashlib.sha256()

    def __enter__(self) -> Journal:
        (self.folder / "cohort").mkdir(parents=True, exist_ok=True)
        try:
            self._lock = lock(self.folder)
        except BlockingIOError:
            raise FileExistsError(f"{self.folder}: another process is making this cohort") from None
        try:
            self._accept_plan()
            self._open()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._samples, self._lines, self._lock):
            with suppress(OSError):  # of a full disk, which was told already; nothing that counts is in a buffer
                file.close()

    @property
    def n(self) -> int:
        """How many ECGs there are."""
        return sum(part.n for part in self.done)

    @property
    def sha256(self) -> str:
        """Of all samples."""
        return self._hash.hexdigest()

    def add(self, part: Part) -> None:
        """Append a part, which may be empty.

        Raises:
            OSError: the disk is full; the parts before stay.
            ValueError: another shape or type.
        """
        if part.steps.shape[1:] != self._shape or part.steps.dtype != np.int16:
            raise ValueError(f"steps {part.steps.dtype} {part.steps.shape}; expected int16 (B, *{self._shape})")
        data = np.ascontiguousarray(part.steps, dtype="<i2").tobytes()
        self._hash.update(data)
        text = json.dumps([self.sha256, len(part.steps), part.facts, part.rejects])
        try:
            _write(self._samples, data)
            _write(self._lines, line_of(text))
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror}; with space the same command goes on", str(self.folder)
            ) from None
        self.done.append(Done(len(part.steps), part.facts, part.rejects))

    def seal(self) -> None:
        """Write the number of ECGs into the header, and all of it to the disk."""
        self._samples.seek(0)
        _write(self._samples, self._header(self.n))
        os.fsync(self._samples.fileno())

    def _accept_plan(self) -> None:
        path, text = self.folder / "plan.json", json.dumps(self._plan, indent=1, sort_keys=True)
        if not path.is_file():
            foreign = {p.name for p in self.folder.iterdir()} - {"cohort", "lock", "plan.json.part"}
            if foreign or any((self.folder / "cohort").iterdir()):
                raise FileExistsError(f"{self.folder} is no unfinished cohort of this program; delete it")
            write_atomically(path, text)
        elif (found := path.read_text()) != text:
            raise FileExistsError(
                f"{self.folder} was begun with other options, tables or software ({_differences(found, self._plan)}); "
                "run the command as before to go on with it, or delete the folder to start anew"
            )

    def _open(self) -> None:
        lines = self.folder / "journal"
        for path in (self.signals, lines):
            path.touch()
        self._samples, self._lines = self.signals.open("r+b"), lines.open("r+b")
        _write(self._samples, self._header(0))
        end = 0
        for line in self._lines:
            if not self._accept(line):
                break
            end += len(line)
        self._lines.seek(end)
        self._lines.truncate()
        samples_end = len(self._header(0)) + self.n * self._row_bytes
        self._samples.seek(samples_end)
        self._samples.truncate()
        for name in ("index.parquet", "rejects.csv", "cohort.json"):
            (self.folder / "cohort" / name).unlink(missing_ok=True)

    def _accept(self, line: bytes) -> bool:
        """Whether a line of the journal is whole and its samples, the next in the file, are those it vouches for."""
        text = text_of(line)
        if text is None:
            return False
        sha256, n, facts, rejects = json.loads(text)
        extended = self._hash.copy()
        extended.update(self._samples.read(n * self._row_bytes))
        if extended.hexdigest() != sha256:
            return False
        self._hash = extended
        self.done.append(Done(n, facts, [Reject(*reject) for reject in rejects]))
        return True

    @property
    def _row_bytes(self) -> int:
        return 2 * self._shape[0] * self._shape[1]

    def _header(self, n: int) -> bytes:
        """Of NPY 1.0, which numpy pads so that a longer first axis does not lengthen it."""
        from io import BytesIO

        stream = BytesIO()
        facts = {"descr": "<i2", "fortran_order": False, "shape": (n, *self._shape)}
        np.lib.format.write_array_header_1_0(stream, facts)
        return stream.getvalue()


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()


def _differences(found: str, plan: dict[str, Any]) -> str:
    try:
        before = _flat(json.loads(found))
    except ValueError:
        return "its plan.json cannot be read"
    now = _flat(plan)
    names = sorted(name for name in before | now if before.get(name) != now.get(name))
    return ", ".join(f"{n}: {before.get(n)!s:.40} before, {now.get(n)!s:.40} now" for n in names[:4])


def _flat(plan: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in json.loads(json.dumps(plan)).items():
        flat |= {f"{name} {key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat
