"""Reference ECGs for a bundle that has none.

    python -m training.references --bundle FOLDER

Run it where the bundle was made and measured: what it answers there is what it has to answer everywhere.
``training.export`` and ``training.calibrate`` write them by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ecg_ka.references import FILE, write_references
from training.config import execute


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencesConfig:
    """What a bundle answers for simulated reference ECGs, kept beside it."""

    bundle: Path = field(metadata={"help": "bundle folder"})


def main() -> None:
    """Entry point of ``python -m training.references``."""
    execute(ReferencesConfig, make)


def make(config: ReferencesConfig) -> None:
    """Write the file and say where."""
    write_references(config.bundle)
    print(config.bundle / FILE)


if __name__ == "__main__":
    main()
