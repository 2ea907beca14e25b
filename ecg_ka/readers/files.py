"""The bytes of one record: its main file and the files that stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Files:
    """File contents by plain name (no folder); ``primary`` names the one that was recognised."""

    primary: str
    contents: Mapping[str, bytes]

    @property
    def data(self) -> bytes:
        """The bytes of the primary file."""
        return self.contents[self.primary]
