"""Whether the process lives and whether it can answer."""

from __future__ import annotations

from fastapi import APIRouter

from service.routes.refusals import refusals
from service.schemas import HealthOut
from service.state import LoadedEstimator

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> HealthOut:
    """The process is alive."""
    return HealthOut(status="alive")


@router.get("/readyz", responses=refusals(503))
async def readyz(_: LoadedEstimator) -> HealthOut:
    """The model bundle is loaded; 503 otherwise."""
    return HealthOut(status="ready")
