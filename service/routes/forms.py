"""How the interface description tells of bodies; the routes read them themselves, to bound them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from service.access.guard import REPLAY_KEY_PATTERN

ONE_ECG = "one file, the files of one ECG (such as .hea and .dat), or a zip of them"
MANY_ECGS = "files of many ECGs, or zips of them; .hea and .dat of one name are one ECG, and so is a zip within a zip"


_FILES = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "contentMediaType": "application/octet-stream"},
}


_ECG_JSON = {
    "type": "object",
    "description": "a list of samples in mV a lead; to say more beside it, send this as a file in a form",
    "properties": {
        "fs_hz": {"type": "number", "exclusiveMinimum": 0},
        "leads": {"type": "array", "items": {"type": "string"}, "examples": [["I", "II", "V1"]]},
        "signal_mv": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "age_years": {},  # what is no age is as none
    },
    "required": ["fs_hz", "leads", "signal_mv"],
}


def form_of(fields: type[BaseModel], **files: str) -> dict[str, Any]:
    """The request body of an upload: its fields, and those that hold files, each with its description."""
    schema = _described(fields)
    uploads = {name: _FILES | {"description": description} for name, description in files.items()}
    required = [*files, *schema.get("required", ())]
    given = {name: _without_null(field) for name, field in schema["properties"].items()}
    schema |= {"properties": {**uploads, **given}, "required": required}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def one_ecg_of(fields: type[BaseModel]) -> dict[str, Any]:
    """The request body of one ECG: a form with its fields, or the ECG alone as JSON."""
    body = form_of(fields, file=ONE_ECG)
    body["requestBody"]["content"]["application/json"] = {"schema": _ECG_JSON}
    return body


def json_of(kind: type[BaseModel]) -> dict[str, Any]:
    """The request body of JSON."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _described(kind)}}}}


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """A field of a form that may be left out; a form has no null."""
    match field:
        case {"anyOf": [kind, {"type": "null"}], **rest}:
            return {**kind, **rest}
    return field


def _described(kind: type[BaseModel]) -> dict[str, Any]:
    """The schema with everything in its place: a reference would be looked for at the root of the whole description."""
    schema = kind.model_json_schema()
    inlined: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}))
    return inlined


def _inlined(part: Any, named: dict[str, Any]) -> Any:
    match part:
        case {"$ref": str(reference), **rest}:
            return _inlined({**named[reference.rpartition("/")[2]], **rest}, named)
        case dict():
            return {name: _inlined(value, named) for name, value in part.items()}
        case list():
            return [_inlined(value, named) for value in part]
    return part


REPLAY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "a name for this request: sent again within 24 hours with the same body, it does nothing again; "
    "output, subject and client_reference may differ",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{REPLAY_KEY_PATTERN}$"},
}
