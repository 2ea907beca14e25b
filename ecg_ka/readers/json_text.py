"""JSON as this project writes and takes it: ``{"fs_hz": 500, "leads": ["I", ...], "signal_mv": [[...], ...]}``."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader, MissingLeads, NoSamples, TruncatedFile, UnreadableRecord
from ecg_ka.readers.ages import AGE_NOT_UNDERSTOOD, plausible_age
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import MAX_JSON_BYTES, MIN_JSON_BYTES_A_LIST, check_bytes, check_channels, check_samples
from ecg_ka.readers.matrix import lay_out, to_record
from ecg_ka.record import EcgRecord, Source

_SIGNALS = {"signal_mv": "mV", "signal_uv": "uV"}
_KEYS = {*_SIGNALS, "fs_hz", "leads", "age_years"}


def recognises(data: bytes) -> bool:
    """Whether this is text that begins as a JSON object does."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" and b"\x00" not in data[:1024]


def read(files: Files, given: Given) -> EcgRecord:
    """One list of numbers a lead, in mV (``signal_mv``) or microvolt (``signal_uv``).

    Raises:
        MalformedHeader: a key that is unknown, missing or of another kind than expected.
        TruncatedFile, NoSamples, RecordTooLarge, MissingLeads, InvalidSamplingRate, NonFiniteSamples: as named.
    """
    check_bytes(len(files.data), MAX_JSON_BYTES, "the JSON")
    content = _object(files.data)
    key = _signal_key(content)
    names, age = _names(content), _age(content)
    return to_record(
        lay_out(_table(content[key], key), given.leads if names is None else given.names(names)),
        fs_hz=given.sampling_rate(_rate(content)),
        unit=given.unit(_SIGNALS[key]),
        source=Source(
            format="JSON",
            sha256=sha256(files.data).hexdigest(),
            units_in=_SIGNALS[key],
            age_years=age,
            notes=() if age is not None or content.get("age_years") is None else (AGE_NOT_UNDERSTOOD,),
        ),
    )


def _object(data: bytes) -> dict[str, Any]:
    n_lists = data.count(b"[") + data.count(b"{")
    if n_lists > 100 and n_lists * MIN_JSON_BYTES_A_LIST > len(data):
        raise UnreadableRecord(f"the JSON holds {n_lists} lists and objects; expected one list of samples a lead")
    try:
        content = _parsed(data)
    except json.JSONDecodeError as error:
        if error.pos >= len(error.doc.rstrip()):
            raise TruncatedFile("the JSON ends too early. Send the whole file.") from None
        raise UnreadableRecord(f"no JSON: {error.msg} at character {error.pos}") from None
    except (ValueError, RecursionError) as error:
        raise UnreadableRecord(f"no JSON that can be read: {str(error)[:120]}") from None
    if not isinstance(content, dict):
        raise UnreadableRecord("the JSON is not an object")
    unknown = sorted(set(content) - _KEYS)
    if unknown:
        raise MalformedHeader(f"unknown JSON keys {str(unknown)[:120]}; expected {', '.join(sorted(_KEYS))}")
    return content


def _parsed(data: bytes) -> Any:
    """By orjson in a quarter of the time; what it refuses, or where a colon may belong to a key that stands twice, by
    json, which tells what is wrong."""
    with suppress(orjson.JSONDecodeError):
        content = orjson.loads(data)
        if isinstance(content, dict) and data.count(b":") == len(content):
            return content
    return json.loads(data, object_pairs_hook=_each_key_once)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise MalformedHeader(f"the key {key[:40]!r} stands twice in the JSON; expected each key once")
        content[key] = value
    return content


def _signal_key(content: dict[str, Any]) -> str:
    keys = [key for key in _SIGNALS if key in content]
    if len(keys) != 1:
        raise MalformedHeader(f"{len(keys)} signals in the JSON; expected one of {' and '.join(_SIGNALS)}")
    return keys[0]


def _names(content: dict[str, Any]) -> tuple[str, ...] | None:
    names = content.get("leads")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise MalformedHeader("leads in the JSON is not a list of names, such as ['I', 'II']")
    check_channels(len(names))
    return tuple(names)


def _rate(content: dict[str, Any]) -> float | None:
    fs_hz = content.get("fs_hz")
    if fs_hz is None:
        return None
    if type(fs_hz) not in (int, float) or not 0 < fs_hz < 1e9:
        raise InvalidSamplingRate(f"fs_hz is {str(fs_hz)[:40]} in the JSON; expected a positive number of Hz")
    return float(fs_hz)


def _age(content: dict[str, Any]) -> float | None:
    age = content.get("age_years")
    if isinstance(age, str) and age.strip().isdecimal() and len(age) < 4:
        age = int(age)
    if isinstance(age, bool) or not isinstance(age, int | float):
        return None
    return plausible_age(float(age)) if age < 1000 else None


def _table(rows: object, key: str) -> NDArray[np.float64]:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise MalformedHeader(f"{key} is not a list of lists of numbers; expected one list a lead")
    if not rows or not rows[0]:
        raise NoSamples(f"{key} is empty; expected at least 5 s of ECG")
    if any(len(row) != len(rows[0]) for row in rows):
        raise MissingLeads(f"the lists in {key} differ in length; expected the same number of samples in every lead")
    check_samples(len(rows) * len(rows[0]))
    if not all({int, float}.issuperset(map(type, row)) for row in rows):
        raise UnreadableRecord(f"{key} holds something that is not a number; expected numbers only")
    try:
        return np.array(rows, dtype=np.float64)
    except OverflowError:
        raise UnreadableRecord(f"{key} holds a number too large for an ECG") from None
