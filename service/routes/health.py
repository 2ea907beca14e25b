"""Whether the process lives and whether it can answer."""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.routes.refusals import refusals
from service.schemas import HealthOut
from service.state import LoadedEstimator
from service.storage.store import Store

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> HealthOut:
    """The process is alive."""
    return HealthOut(status="alive")


@router.get("/readyz", responses=refusals(503))
def readyz(request: Request, _: LoadedEstimator) -> HealthOut:
    """The model bundle is loaded, and the database answers where there is one; 503 otherwise."""
    store: Store | None = request.state["store"]
    if store is not None:
        store.database.ping()
    return HealthOut(status="ready")
