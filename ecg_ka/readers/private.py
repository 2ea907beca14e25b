"""A private folder for the libraries that read files only."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecg_ka.errors import NoWorkingSpace


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder that nobody else reads, deleted at the end.

    Raises:
        NoWorkingSpace: it cannot be made or written, also by what is done in it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="ecg-ka-") as folder:
            yield Path(folder)
    except OSError as error:
        raise NoWorkingSpace(
            f"there is no room for temporary files ({error.strerror}); this format needs some megabytes. "
            "Make room, or name a writable folder in the environment variable TMPDIR."
        ) from None
