"""Log lines in JSON that tell what happened and never about whom: no file name, content, query or address."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

_OWN = ("service", "uvicorn.error")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, event, and what was passed as ``extra={"data": {...}}``.

    Of an exception only its class and the places it passed are told: its message may quote the file.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= getattr(record, "data", {})
        if record.exc_info and record.exc_info[0]:
            line |= {"error": record.exc_info[0].__name__, "places": places(record.exc_info[2])}
        return json.dumps(line)


def places(trace: TracebackType | None) -> list[str]:
    """File, line and function of each frame, outermost first, without any value."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def configure() -> None:
    """Send the lines of the service and of its server to standard error, and silence every other logger.

    Libraries quote what they read in log lines and warnings, and that may be a patient's name.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.captureWarnings(True)
    logging.getLogger().handlers = [logging.NullHandler()]
    for name in _OWN:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
