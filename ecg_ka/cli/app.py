"""The command's frame: what all subcommands hang on, its exit codes, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
import warnings

import typer

from ecg_ka.cli.options import with_options
from ecg_ka.errors import EcgError
from ecg_ka.estimate import DISCLAIMER

app = typer.Typer(
    help=f"Serum potassium estimated from 12-lead ECG files. {DISCLAIMER}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

REFUSED = 2
"""Exit code when at least one file was refused."""
NOT_WRITTEN = 1
"""Exit code when the answer, or a part of it, could not be written."""
STOPPED = 75
"""Exit code of long work that was told to stop and goes on when called again."""


def main() -> None:
    """Run the command; an error that was foreseen ends it with one line on standard error and exit code 2.

    A full disk behind standard output gives one line and exit code 1. A pipe whose reader has seen enough (``| head``)
    ends the command quietly by SIGPIPE, as it ends other tools.
    """
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    warnings.simplefilter("ignore")  # libraries quote in them what they read, control characters included
    try:
        _run()
    except EcgError as error:
        print(f"ecg-ka: {error.title}: {with_options(str(error))}", file=sys.stderr)
        sys.exit(REFUSED)
    except OSError as error:
        if error.filename is not None:
            raise  # not about standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is unwritten would fail again at the end
        print(f"ecg-ka: Cannot write the answer: {error.strerror}", file=sys.stderr)
        sys.exit(NOT_WRITTEN)


def _run() -> None:
    try:
        app()
    finally:
        sys.stdout.flush()  # here, where a failure can still be told
