"""One ECG and earlier ones of the same patient in, one estimate out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

import ecg_ka
from service.earlier import EARLIER, PersonalizeFields, PersonalUpload, receive_personal
from service.errors import NoVarianceComponents
from service.keeping import TheKeeper
from service.outputs import answer_of, descriptions
from service.routes.forms import ONE_ECG, form_of
from service.routes.refusals import refusals
from service.schemas import EstimateOut
from service.state import LoadedEstimator

router = APIRouter(prefix="/v1", tags=["estimate"])
Received = Annotated[PersonalUpload, Depends(receive_personal)]


@router.post(
    "/personalize",
    response_model=EstimateOut,
    responses={200: {"content": descriptions()}, **refusals(400, 408, 409, 413, 415, 422, 501, 503)},
    openapi_extra=form_of(PersonalizeFields, file=ONE_ECG, earlier=EARLIER),
)
def personalize(
    request: Request, sent: Received, estimator: LoadedEstimator, keeper: TheKeeper
) -> EstimateOut | Response:
    """The estimate for one ECG, without the offset that earlier ECGs of the same patient have beside the potassium that
    was measured with each. Nothing of it is kept, neither ECGs nor values.

    501: the model does not know how much patients differ.
    """
    if estimator.bundle.personal is None:
        raise NoVarianceComponents("this model does not know how much patients differ; use /v1/predict.")
    upload = sent.current
    fields = upload.fields
    record = ecg_ka.read(upload.source, fs_hz=fields.fs_hz, units=fields.units, leads=fields.lead_names)
    personal = estimator.personalize(sent.pairs(record, request.state["settings"]))
    estimate = estimator.estimate(record, level=fields.level, personal=personal, age_years=fields.age_years)
    answer = answer_of(request, upload, record, estimate)
    keeper.note("estimate.personalize", estimate)
    return answer
