"""The ECGs of pending batches: one file each, readable by the service alone, gone once the answer is kept."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service.errors import StorageUnavailable

_BATCH_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Spool:
    """Files by batch and position. No name that a caller sent becomes part of a path."""

    root: Path

    def write(self, batch_id: str, position: int, content: bytes) -> None:
        """Keep the bytes of one ECG.

        Raises:
            StorageUnavailable: there is no room.
        """
        folder = self._folder(batch_id)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            file = os.open(folder / str(int(position)), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
        except OSError:
            raise StorageUnavailable(
                "the spool under ECG_KA_DATA took not all of the batch; nothing of it was kept. Try again later."
            ) from None

    def read(self, batch_id: str, position: int) -> bytes:
        """The bytes of one ECG.

        Raises:
            FileNotFoundError: it is not there (any more).
        """
        return (self._folder(batch_id) / str(int(position))).read_bytes()

    def discard(self, batch_id: str, position: int) -> None:
        """Delete one ECG, and the folder of the batch with its last one; what is gone already is no error."""
        folder = self._folder(batch_id)
        (folder / str(int(position))).unlink(missing_ok=True)
        try:
            folder.rmdir()
        except OSError:
            return  # others are still in it, or it is gone

    def discard_batch(self, batch_id: str) -> None:
        """Delete all that is left of a batch."""
        shutil.rmtree(self._folder(batch_id), ignore_errors=True)

    def batches(self, older_than_s: float) -> Iterator[str]:
        """The batches that have files here since at least so long."""
        latest = time.time() - older_than_s
        for folder in self.root.iterdir():
            if _BATCH_ID.fullmatch(folder.name) and folder.stat().st_mtime <= latest:
                yield folder.name

    def positions(self, batch_id: str) -> list[int]:
        """Which ECGs of a batch are here."""
        folder = self._folder(batch_id)
        return sorted(int(path.name) for path in folder.iterdir()) if folder.is_dir() else []

    def _folder(self, batch_id: str) -> Path:
        if not _BATCH_ID.fullmatch(batch_id):
            raise ValueError(f"{batch_id[:40]!r} is no id of a batch; expected 32 hexadecimal digits")
        return self.root / batch_id
