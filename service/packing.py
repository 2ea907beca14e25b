"""Several files as one, and what was sent as one hash."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping

from pydantic import BaseModel


def packed(files: Mapping[str, bytes]) -> bytes:
    """The files of one ECG as a zip that is the same whenever and in whatever order it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name.rpartition("/")[2] or "file"), files[name])
    return buffer.getvalue()


def fingerprint_of(fields: BaseModel, contents: Iterable[bytes]) -> str:
    """The hash of a request: its fields and the bytes with them."""
    whole = hashlib.sha256(fields.model_dump_json().encode())
    for content in contents:
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()
