"""One ECG in, one estimate out."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

import ecg_ka
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
    responses=refusals(400, 408, 413, 415, 422, 503),
    openapi_extra={"requestBody": _body()},
)
def predict(upload: ReceivedUpload, estimator: LoadedEstimator) -> EstimateOut:
    """The estimate for one ECG, with its interval, region, flags and provenance."""
    fields = upload.fields
    record = ecg_ka.read(upload.source, fs_hz=fields.fs_hz, units=fields.units, leads=fields.lead_names)
    return EstimateOut.model_validate(estimator.estimate(record, level=fields.level).to_dict())
