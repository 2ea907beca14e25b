"""One ECG in, its signal quality out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

import ecg_ka
from service.fields import EcgFields
from service.kept_schemas import LeadQualityOut, QualityReportOut
from service.routes.forms import one_ecg_of
from service.routes.refusals import refusals
from service.upload import Upload, upload_of

router = APIRouter(prefix="/v1", tags=["quality"])
ReceivedUpload = Annotated[Upload[EcgFields], Depends(upload_of(EcgFields))]


@router.post("/quality", responses=refusals(400, 408, 413, 415, 422, 503), openapi_extra=one_ecg_of(EcgFields))
def quality(upload: ReceivedUpload) -> QualityReportOut:
    """How good the signal of one ECG is, lead by lead, as the estimate would judge it; nothing is kept."""
    fields = upload.fields
    record = ecg_ka.read(upload.source, fs_hz=fields.fs_hz, units=fields.units, leads=fields.lead_names)
    found = ecg_ka.assess(record)
    return QualityReportOut(
        grade=found.grade,
        heart_rate_bpm=found.heart_rate_bpm,
        n_beats=found.r_peaks.size,
        flags=sorted(found.flags),
        notes=list(found.notes),
        leads=[LeadQualityOut.model_validate(lead, from_attributes=True) for lead in found.leads],
        disclaimer=ecg_ka.DISCLAIMER,
    )
