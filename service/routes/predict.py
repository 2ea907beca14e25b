"""One ECG in, one estimate out."""

from __future__ import annotations

from fastapi import APIRouter

import ecg_ka
from service.keeping import TheKeeper
from service.routes.forms import ONE_ECG, REPLAY_KEY, form_of
from service.routes.refusals import refusals
from service.schemas import EstimateOut, PredictFields
from service.state import LoadedEstimator
from service.upload import ReceivedUpload

router = APIRouter(prefix="/v1", tags=["estimate"])


@router.post(
    "/predict",
    responses=refusals(400, 408, 413, 415, 422, 503),
    openapi_extra={**form_of(PredictFields, ONE_ECG), "parameters": [REPLAY_KEY]},
)
def predict(upload: ReceivedUpload, estimator: LoadedEstimator, keeper: TheKeeper) -> EstimateOut:
    """The estimate for one ECG, with its interval, region, flags and provenance. Where estimates are kept, the header
    ``X-Estimate-ID`` names it for later feedback."""
    fields = upload.fields
    record = ecg_ka.read(upload.source, fs_hz=fields.fs_hz, units=fields.units, leads=fields.lead_names)
    estimate = estimator.estimate(record, level=fields.level)
    keeper.keep(upload, record, estimate)
    return EstimateOut.model_validate(estimate.to_dict())
