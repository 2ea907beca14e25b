"""The results of a batch, line by line, as NDJSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

_COLUMNS = (
    "position",
    "status",
    "estimate_id",
    "potassium_mmol_l",
    "median_mmol_l",
    "lower_mmol_l",
    "upper_mmol_l",
    "level",
    "category",
    "region",
    "abstained",
    "flags",
    "ecg_sha256",
    "model_sha256",
    "problem",
    "disclaimer",
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def ndjson(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """One JSON object a line: position, status, estimate_id, and the estimate or the problem."""
    for result in results:
        is_estimate = result["status"] < 400
        line = {name: result[name] for name in ("position", "status", "estimate_id")}
        line["estimate"] = result["answer"] if is_estimate else None
        line["problem"] = None if is_estimate else result["answer"]
        yield json.dumps(line, allow_nan=False) + "\n"


def as_csv(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A header and one line an ECG, with the disclaimer beside every answer: a table gets far from its source."""
    yield _line(_COLUMNS)
    for result in results:
        cells = _of_estimate(result["answer"]) if result["status"] < 400 else {"problem": result["answer"]["type"]}
        cells |= {name: result[name] for name in ("position", "status", "estimate_id")}
        yield _line([_safe(cells.get(name)) for name in _COLUMNS])


def _of_estimate(answer: dict[str, Any]) -> dict[str, Any]:
    interval, region = answer["interval"] or {}, answer["region"] or {}
    same = ("potassium_mmol_l", "median_mmol_l", "category", "abstained", "disclaimer")
    return {name: answer[name] for name in same} | {
        "lower_mmol_l": interval.get("lower"),
        "upper_mmol_l": interval.get("upper"),
        "level": interval.get("level"),
        "region": region.get("name"),
        "flags": " ".join(flag["name"] for flag in answer["flags"]),
        "ecg_sha256": answer["ecg"]["sha256"],
        "model_sha256": answer["model"]["sha256"],
    }


def _safe(cell: object) -> object:
    """A text that a spreadsheet would take for a formula, with a quote before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def _line(cells: Iterable[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()
