"""What an unfinished table and an unfinished cohort have in common: one writer, and lines that vouch for themselves."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import IO


def lock(folder: Path) -> IO[bytes]:
    """Hold ``folder`` until the file is closed; where the system has no such locks, it is up to the user.

    Raises:
        BlockingIOError: another process holds it.
    """
    file = (folder / "lock").open("ab")
    if os.name != "posix":
        return file
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file


def line_of(text: str) -> bytes:
    """A line of a journal: the check sum of a text without line ends, and the text."""
    return f"{_check_sum(text.encode())} {text}\n".encode()


def text_of(line: bytes) -> str | None:
    """What a line of a journal says; None when it is not whole."""
    check_sum, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or check_sum.decode(errors="replace") != _check_sum(text[:-1]):
        return None
    return text[:-1].decode()


def discard(folder: Path) -> None:
    """Delete what is unfinished, or what it left behind when it was finished."""
    shutil.rmtree(folder, ignore_errors=True)


def _check_sum(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=8).hexdigest()
