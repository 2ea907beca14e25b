"""One ECG in, one estimate out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

import ecg_ka
from service.fields import PredictFields
from service.keeping import TheKeeper
from service.outputs import answer_of, descriptions
from service.routes.forms import REPLAY_KEY, one_ecg_of
from service.routes.refusals import refusals
from service.schemas import EstimateOut
from service.state import LoadedEstimator
from service.upload import Upload, upload_of

router = APIRouter(prefix="/v1", tags=["estimate"])
ReceivedUpload = Annotated[Upload[PredictFields], Depends(upload_of(PredictFields))]


@router.post(
    "/predict",
    response_model=EstimateOut,
    responses={200: {"content": descriptions()}, **refusals(400, 408, 409, 413, 415, 422, 501, 503)},
    openapi_extra={**one_ecg_of(PredictFields), "parameters": [REPLAY_KEY]},
)
def predict(
    request: Request, upload: ReceivedUpload, estimator: LoadedEstimator, keeper: TheKeeper
) -> EstimateOut | Response:
    """The estimate for one ECG, with its interval, region, flags and provenance.

    As JSON, or in the language that `output` names. 409: a demonstration's number stays out of records. Where estimates
    are kept, the header `X-Estimate-ID` names it for later feedback.
    """
    fields = upload.fields
    record = ecg_ka.read(upload.source, fs_hz=fields.fs_hz, units=fields.units, leads=fields.lead_names)
    estimate = estimator.estimate(record, level=fields.level, age_years=fields.age_years)
    answer = answer_of(request, upload, record, estimate)
    keeper.keep(upload, record, estimate)  # what could not be written in that language is not kept
    return answer
