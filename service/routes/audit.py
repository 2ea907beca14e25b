"""The audit trail, for administrators."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query

from service.kept_schemas import AuditEntryOut, AuditOut
from service.routes.refusals import refusals
from service.state import OpenedStore
from service.storage import audit

router = APIRouter(prefix="/v1", tags=["audit"])
_PAGE = 1000


@router.get("/audit", responses=refusals(422, 501, 503))
def trail(store: OpenedStore, after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0) -> AuditOut:
    """Whether the trail is whole from its first entry to its last, and up to 1000 entries after a number."""
    with store.database.read() as connection:
        verdict = audit.verify(connection, store.secret)
        entries = list(islice(audit.entries(connection, after), _PAGE))
    shown = [AuditEntryOut.model_validate(asdict(entry)) for entry in entries]
    following = entries[-1].seq if len(entries) == _PAGE else None
    return AuditOut.model_validate(asdict(verdict) | {"entries": shown, "next": following})
