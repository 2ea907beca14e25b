"""CDS Hooks: a card when a patient's latest filed estimate raised an alarm."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request

import ecg_ka
from service.errors import MissingPrefetch
from service.json_body import json_body
from service.routes.forms import json_of
from service.routes.refusals import refusals
from service.schemas import CdsCardsOut, CdsRequest, CdsServicesOut
from service.state import LoadedEstimator

router = APIRouter(prefix="/cds-services", tags=["CDS Hooks"])


@router.get("")
async def services() -> CdsServicesOut:
    """The one service, and what a client has to send along with a request."""
    return CdsServicesOut.model_validate(ecg_ka.cds_services())


@router.post(
    f"/{ecg_ka.SERVICE_ID}", responses=refusals(408, 409, 412, 413, 415, 422, 503), openapi_extra=json_of(CdsRequest)
)
def cards(
    hook: Annotated[CdsRequest, Depends(json_body(CdsRequest))], request: Request, estimator: LoadedEstimator
) -> CdsCardsOut:
    """At most one card, made from the prefetched Observation alone: nothing is fetched, nothing is stored.

    A demonstration never gives a card; 409 unless its exports are allowed.
    """
    if estimator.bundle.provenance.is_simulated:
        if not request.state["settings"].allow_demo_exports:
            raise ecg_ka.DemoExport(
                "the model was trained on simulated ECGs only: it gives no cards. Use another bundle."
            )
        return CdsCardsOut(cards=[])
    if hook.prefetch is None or ecg_ka.PREFETCH_KEY not in hook.prefetch:
        raise MissingPrefetch(f"the request holds no prefetch {ecg_ka.PREFETCH_KEY!r}; nothing is fetched here")
    found = hook.prefetch[ecg_ka.PREFETCH_KEY]
    return CdsCardsOut(cards=ecg_ka.cds_cards(found, hook.context.patientId, now=datetime.now(UTC)))
