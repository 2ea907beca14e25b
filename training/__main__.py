"""The programs of this package by one word each, for a container: ``python -m training train --cohort ...``."""

from __future__ import annotations

import runpy
import sys

PROGRAMS = {
    "cohort": "ECGs and potassium values to a cohort",
    "train": "a cohort to a trained network",
    "evaluate": "what a run or bundle is worth on the test split",
    "export": "a run to a bundle",
}


def main() -> None:
    """Hand the rest of the command line to the program that its first word names."""
    _, *words = sys.argv
    if not words or words[0] not in PROGRAMS:
        told = "\n".join(f"  {name:10}{text}" for name, text in PROGRAMS.items())
        wants_help = words[:1] in (["-h"], ["--help"])
        print(f"usage: python -m training PROGRAM [OPTIONS]\n\n{told}", file=sys.stdout if wants_help else sys.stderr)
        sys.exit(0 if wants_help else 2)
    sys.argv = [f"training.{words[0]}", *words[1:]]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
