"""How the interface description tells of refusals."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from service import examples
from service.errors import MEDIA_TYPE
from service.schemas import Problem


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that may answer with these statuses."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema(), "example": examples.problem()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
