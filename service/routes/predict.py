"""One ECG in, one estimate out."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request, Response

import ecg_ka
from service.keeping import TheKeeper
from service.outputs import descriptions, response_of
from service.routes.forms import ONE_ECG, REPLAY_KEY, form_of
from service.routes.refusals import refusals
from service.schemas import EstimateOut, PredictFields
from service.state import LoadedEstimator
from service.upload import ReceivedUpload

router = APIRouter(prefix="/v1", tags=["estimate"])


@router.post(
    "/predict",
    response_model=EstimateOut,
    responses={200: {"content": descriptions()}, **refusals(400, 408, 409, 413, 415, 422, 501, 503)},
    openapi_extra={**form_of(PredictFields, ONE_ECG), "parameters": [REPLAY_KEY]},
)
def predict(
    request: Request, upload: ReceivedUpload, estimator: LoadedEstimator, keeper: TheKeeper
) -> EstimateOut | Response:
    """The estimate for one ECG, with its interval, region, flags and provenance.

    As JSON, or in the language that `output` names. 409: a demonstration's number stays out of records. Where estimates
    are kept, the header `X-Estimate-ID` names it for later feedback.
    """
    fields = upload.fields
    identity = ecg_ka.Identity.of(fields.subject, fields.client_reference)
    record = ecg_ka.read(upload.source, fs_hz=fields.fs_hz, units=fields.units, leads=fields.lead_names)
    answered = ecg_ka.Answered(
        estimate=estimator.estimate(record, level=fields.level),
        record=record,
        source=upload.source,
        issued=datetime.now().astimezone(),
        identity=identity,
        demo_allowed=request.state["settings"].allow_demo_exports,
    )
    answer: EstimateOut | Response
    if fields.output is ecg_ka.Output.JSON and identity == ecg_ka.Identity():
        answer = EstimateOut.model_validate(answered.estimate.to_dict())
    else:
        answer = response_of(answered, fields.output)
    keeper.keep(upload, record, answered.estimate)  # what could not be written in that language is not kept
    return answer
