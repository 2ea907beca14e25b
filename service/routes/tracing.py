"""One ECG in, the samples that are drawn of it out."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends

import ecg_ka
from service.fields import EcgFields
from service.routes.forms import one_ecg_of
from service.routes.refusals import refusals
from service.schemas import TracingOut
from service.state import LoadedEstimator
from service.upload import Upload, upload_of

router = APIRouter(prefix="/v1", tags=["quality"])
ReceivedUpload = Annotated[Upload[EcgFields], Depends(upload_of(EcgFields))]


@router.post("/tracing", responses=refusals(400, 408, 413, 415, 422, 503), openapi_extra=one_ecg_of(EcgFields))
def tracing(upload: ReceivedUpload, estimator: LoadedEstimator) -> TracingOut:
    """What the model looks at of one ECG, lead by lead and unfiltered, also where its estimate would be withheld;
    nothing is kept."""
    fields = upload.fields
    record = ecg_ka.read(upload.source, fs_hz=fields.fs_hz, units=fields.units, leads=fields.lead_names)
    shown, start_s = ecg_ka.choose_window(record, estimator.bundle.signal)
    return TracingOut(
        fs_hz=shown.fs_hz,
        start_s=start_s,
        leads=list(shown.leads),
        leads_derived=list(shown.leads_derived),
        signal_uv=np.rint(1000 * shown.signal_mv.astype(np.float64)).astype(np.int64).tolist(),
    )
