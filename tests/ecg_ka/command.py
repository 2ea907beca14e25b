"""The command called in this process, for tests to which the process of its own is not the property."""

from __future__ import annotations

import io
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest

from ecg_ka.cli import main


@contextmanager
def _as_found() -> Iterator[None]:
    """What the command changes of its process is as before afterwards."""
    handler = signal.getsignal(signal.SIGPIPE)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        signal.signal(signal.SIGPIPE, handler)


def called(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    """Standard output and standard error of a call, which must end with this exit code."""
    out, err = io.StringIO(), io.StringIO()
    argv = patch.object(sys, "argv", ["ecg-ka", *map(str, arguments)])
    with argv, _as_found(), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code, err.getvalue()
    return out.getvalue(), err.getvalue()
