"""Hooks of schemathesis: a request that fits the description carries real ECGs, and the id of an estimate that was
made. With text in place of an ECG it would end at the reader, and what lies behind it would never be asked."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from pydicom.data import get_testdata_file
from schemathesis import Case, GenerationMode, HookContext, Response

import ecg_ka

_RECORD = ecg_ka.read(str(get_testdata_file("waveform_ecg.dcm", download=False)))
_MADE: list[str] = []
_EARLIER = {
    "files": ["earlier"],
    "acquired_at": "2013-01-20T08:00:00Z",
    "potassium": 4.1,
    "unit": "mmol/L",
    "collected_at": "2013-01-20T08:30:00Z",
    "haemolysed": False,
}


def ecg(gain: float) -> str:
    """The ECG as JSON, which unlike bytes is a string to a JSON schema, with every fourth sample."""
    content = {"fs_hz": _RECORD.fs_hz / 4, "leads": _RECORD.leads}
    return json.dumps(content | {"signal_mv": (gain * _RECORD.signal_mv[:, ::4]).round(3).tolist()})


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Put them in."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE or not isinstance(case.body, dict):
        return
    given: dict[str, Any] = {
        "file": [ecg(1.0)],
        "earlier": [ecg(1.1)],
        "history": json.dumps([_EARLIER]),
        "acquired_at": None,
    }
    given |= {"estimate_id": _MADE[-1]} if _MADE else {}
    for name in given.keys() & case.body.keys():
        if given[name] is None:
            del case.body[name]
        else:
            case.body[name] = given[name]


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    """Remember an estimate."""
    _MADE.extend(response.headers.get("x-estimate-id", []))
