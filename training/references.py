"""Reference ECGs for a bundle that has none.

    python -m training.references --bundle FOLDER

Run it where the bundle was made and measured: what it answers there is what it has to answer everywhere.
``training.export`` and ``training.calibrate`` write them by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
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


def write_where_possible(bundle: Path) -> None:
    """Write the file; on a machine that only trains, without onnxruntime, say how to make it elsewhere."""
    if find_spec("onnxruntime") is None:
        print(
            f"no {FILE}: onnxruntime is not installed. A running service takes the bundle over only with this file; "
            f"make it where onnxruntime is: python -m training.references --bundle {bundle}"
        )
    else:
        write_references(bundle)


if __name__ == "__main__":
    main()
