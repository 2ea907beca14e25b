"""How the interface description tells of uploads; the routes read them themselves, to bound them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

ONE_ECG = "one file, the files of one ECG (such as .hea and .dat), or a zip of them"
MANY_ECGS = "files of many ECGs, or zips of them; .hea and .dat of one name are one ECG, and so is a zip within a zip"


def form_of(fields: type[BaseModel], file: str) -> dict[str, Any]:
    """The request body of an upload."""
    schema = fields.model_json_schema()
    named = schema.pop("$defs", {})  # a reference to them would be looked for at the root of the whole description
    known = {name: _inlined(field, named) for name, field in schema["properties"].items()}
    files = {
        "description": file,
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
    }
    schema |= {"properties": {"file": files, **known}, "required": ["file"]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def _inlined(field: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    reference = field.pop("$ref", None)
    return {**named[reference.rpartition("/")[2]], **field} if reference else field


REPLAY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "a name for this request: sent again within 24 hours with the same body, it does nothing again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
