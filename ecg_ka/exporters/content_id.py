"""Identifiers that follow from the content: the same answer gets the same ones, so that sending it twice is seen."""

from __future__ import annotations

import json
from uuid import UUID, uuid5

from ecg_ka.estimate import Estimate

_NAMESPACE = UUID("5b2bb8a4-6a07-52f5-9b59-1c5ba1d0b9f4")


def content_id(what: str, estimate: Estimate, *more: object) -> UUID:
    """The identifier of ``what`` is said of an estimate; how long the estimate took does not count."""
    content = {name: value for name, value in estimate.to_dict().items() if name != "timing_ms"}
    return _id(what, json.dumps(content, sort_keys=True), *map(repr, more))


def model_id(what: str, estimate: Estimate) -> UUID:
    """The identifier of something that all answers of one model share."""
    return _id(what, estimate.model.sha256)


def dicom_uid(identifier: UUID) -> str:
    """An identifier as DICOM writes it (PS3.5 B.2)."""
    return f"2.25.{identifier.int}"


def _id(*parts: str) -> UUID:
    return uuid5(_NAMESPACE, "\x00".join(parts))
