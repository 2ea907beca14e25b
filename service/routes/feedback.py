"""A laboratory value that came later."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends

from service.access.guard import TheAct
from service.json_body import json_body
from service.kept_schemas import FeedbackIn, FeedbackOut
from service.packing import fingerprint_of
from service.routes.forms import REPLAY_KEY, json_of
from service.routes.refusals import refusals
from service.state import OpenedStore
from service.storage import feedback

router = APIRouter(prefix="/v1", tags=["monitoring"])


@router.post(
    "/feedback",
    status_code=201,
    responses=refusals(404, 408, 413, 415, 422, 501, 503),
    openapi_extra={**json_of(FeedbackIn), "parameters": [REPLAY_KEY]},
)
def add(value: Annotated[FeedbackIn, Depends(json_body(FeedbackIn))], store: OpenedStore, act: TheAct) -> FeedbackOut:
    """Keep the laboratory value beside its estimate. Counted are values of blood taken within 60 minutes of the ECG,
    not haemolysed, the first of a patient on a day."""
    kept = feedback.keep(
        store,
        act,
        feedback.Value(
            estimate_id=value.estimate_id,
            potassium_mmol_l=value.potassium,  # mEq/L is mmol/L for an ion of one charge
            collected_at=value.collected_at,
            haemolysed=value.haemolysed,
            pseudonym=value.patient,
        ),
        fingerprint_of(value, ()),
    )
    return FeedbackOut.model_validate(asdict(kept))
