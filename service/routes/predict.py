"""One ECG in, one estimate out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response

import ecg_ka
from service.outputs import descriptions, response_of
from service.routes.refusals import refusals
from service.schemas import EstimateOut, PredictFields
from service.state import LoadedEstimator
from service.upload import ReceivedUpload

router = APIRouter(prefix="/v1", tags=["estimate"])


def _body() -> dict[str, Any]:
    """The request body in the interface description; the route reads it itself, to bound it."""
    schema = PredictFields.model_json_schema()
    file = {
        "description": "one file, the files of one ECG (such as .hea and .dat), or a zip of them",
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
    }
    schema |= {"properties": {"file": file, **schema["properties"]}, "required": ["file"]}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


@router.post(
    "/predict",
    response_model=EstimateOut,
    responses={200: {"content": descriptions()}, **refusals(400, 408, 409, 413, 415, 422, 501, 503)},
    openapi_extra={"requestBody": _body()},
)
def predict(request: Request, upload: ReceivedUpload, estimator: LoadedEstimator) -> EstimateOut | Response:
    """The estimate for one ECG, with its interval, region, flags and provenance.

    As JSON, or in the language that `output` names. 409: a demonstration's number stays out of records.
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
    if fields.output is ecg_ka.Output.JSON and identity == ecg_ka.Identity():
        return EstimateOut.model_validate(answered.estimate.to_dict())
    return response_of(answered, fields.output)
