"""One ECG in, which part of its beats moves the estimate out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response

import ecg_ka
from service.fields import ExplainFields
from service.keeping import TheKeeper
from service.outputs import descriptions, response_of
from service.routes.forms import one_ecg_of
from service.routes.refusals import refusals
from service.schemas import EstimateOut, ExplanationOut
from service.state import LoadedEstimator
from service.upload import Upload, upload_of

router = APIRouter(prefix="/v1", tags=["estimate"])
ReceivedUpload = Annotated[Upload[ExplainFields], Depends(upload_of(ExplainFields))]
_PAGES = (ecg_ka.Output.SVG, ecg_ka.Output.PDF)


@router.post(
    "/explain",
    response_model=ExplanationOut,
    responses={200: {"content": descriptions(_PAGES)}, **refusals(400, 408, 413, 415, 422, 501, 503)},
    openapi_extra=one_ecg_of(ExplainFields),
)
def explain(upload: ReceivedUpload, estimator: LoadedEstimator, keeper: TheKeeper) -> ExplanationOut | Response:
    """Which part of the beat moves the estimate of one ECG: its effect, wave by wave and lead group by lead group, or
    the page with the waves shaded. Takes a few tenths of a second; nothing is kept.

    422: the estimate is withheld, or the waves cannot be told apart. 501: the extra `quality` is not installed.
    """
    fields = upload.fields
    record = ecg_ka.read(upload.source, fs_hz=fields.fs_hz, units=fields.units, leads=fields.lead_names)
    estimate = estimator.estimate(record, level=fields.level, age_years=fields.age_years)
    found = ecg_ka.explain(estimator, record, age_years=fields.age_years)
    answer = _answer(upload, record, estimate, found)
    keeper.note("estimate.explain", estimate)
    return answer


def _answer(
    upload: Upload[ExplainFields], record: ecg_ka.EcgRecord, estimate: ecg_ka.Estimate, found: ecg_ka.Explanation
) -> ExplanationOut | Response:
    if upload.fields.output is ecg_ka.Output.JSON:
        told = EstimateOut.model_validate_json(estimate.to_json())
        beside = {name: getattr(told, name) for name in ("flags", "ecg", "model", "disclaimer")}
        return ExplanationOut.model_validate(found.to_dict() | beside)
    issued = datetime.now().astimezone()
    answered = ecg_ka.Answered(estimate=estimate, record=record, source=upload.source, issued=issued, explanation=found)
    return response_of(answered, upload.fields.output)
