"""What a subcommand may write, writing it, and JSON for those who read it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from ecg_ka.errors import EcgError
from ecg_ka.readers.intake import named_by


def refuse_overwriting(paths: Iterable[Path], ecg: Path | None, *, force: bool) -> None:
    """Raise EcgError for files that are there, and for those of the ECG, if one is read, whatever ``force`` says."""
    for path in paths:
        if ecg is not None and path.exists() and _holds(ecg, path):
            raise EcgError(f"{path} belongs to the ECG itself; choose another file with --output")
        if not force and _would_be_lost(path):
            raise EcgError(f"{path} is there already; choose another file with --output, or overwrite it with --force")


def _would_be_lost(path: Path) -> bool:
    """Whether something is there that writing replaces; nothing is in a device or a pipe, such as /dev/stdout."""
    return path.is_file() or path.is_dir() or (path.is_symlink() and not path.exists())


def _holds(ecg: Path, path: Path) -> bool:
    """Whether a path is the ECG, a file in its folder when it is one, or a signal file of its header."""
    if ecg.is_dir():
        return path.resolve().parent == ecg.resolve()
    header = ecg.with_suffix(".hea")
    return any(
        other.exists() and path.samefile(other) for other in (ecg, header, *map(ecg.with_name, named_by(header)))
    )


def write(path: Path, content: str | bytes) -> None:
    """Write a file; raises EcgError when it cannot be."""
    try:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise EcgError(f"cannot write {path} ({error.strerror}); choose another place with --output") from error


def json_text(value: Any) -> str:
    """Plain types, dataclasses and numbers of numpy as indented JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()
