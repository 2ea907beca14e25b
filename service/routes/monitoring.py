"""How the model does here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.kept_schemas import MonitoringOut
from service.monitoring.summary import WINDOW_DAYS, summarise
from service.routes.refusals import refusals
from service.state import LoadedEstimator, OpenedStore

router = APIRouter(prefix="/v1", tags=["monitoring"])


@router.get("/monitoring", responses=refusals(422, 501, 503))
def monitoring(
    store: OpenedStore, estimator: LoadedEstimator, days: Annotated[int, Query(ge=1, le=3650)] = WINDOW_DAYS
) -> MonitoringOut:
    """Errors and coverage beside laboratory values, calibration, withheld estimates, and drift of inputs and
    estimates, of the loaded model over the last days."""
    return summarise(store, estimator, days)
