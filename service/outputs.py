"""Answers in other languages than JSON, as HTTP responses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fastapi import Request, Response

from ecg_ka import Answered, EcgRecord, Estimate, Identity, Output, exported
from service.fields import PredictFields
from service.schemas import EstimateOut
from service.upload import Upload

_MEDIA_TYPES = {
    Output.JSON: "application/json",
    Output.FHIR: "application/fhir+json",
    Output.DICOM_SR: "application/dicom",
    Output.HL7V2: "application/hl7-v2; charset=utf-8",
    Output.PDF: "application/pdf",
    Output.SVG: "image/svg+xml",
}
_FILE_NAMES = {Output.DICOM_SR: "estimate.dcm", Output.HL7V2: "estimate.hl7", Output.FHIR: "estimate.fhir.json"}

# A page opened by a browser runs nothing and loads nothing, whatever a file says.
_INERT = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}


def answer_of(
    request: Request, upload: Upload[PredictFields], record: EcgRecord, estimate: Estimate
) -> EstimateOut | Response:
    """The estimate in the language, and for the patient, that the caller named."""
    fields = upload.fields
    identity = Identity.of(fields.subject, fields.client_reference)
    if fields.output is Output.JSON and identity == Identity():
        return EstimateOut.model_validate_json(estimate.to_json())
    answered = Answered(
        estimate=estimate,
        record=record,
        source=upload.source,
        issued=datetime.now().astimezone(),
        identity=identity,
        demo_allowed=request.state["settings"].allow_demo_exports,
    )
    return response_of(answered, fields.output)


def response_of(answered: Answered, output: Output) -> Response:
    """The answer as a file of that kind; the name of the file is never the caller's."""
    name = _FILE_NAMES.get(output, f"estimate.{output}")
    headers = {"Content-Disposition": f'attachment; filename="{name}"', **_INERT}
    return Response(exported(answered, output), media_type=_MEDIA_TYPES[output], headers=headers)


def descriptions(outputs: Iterable[Output] = Output) -> dict[str, Any]:
    """The other media types of an answer, for the interface description."""
    others = (_MEDIA_TYPES[output] for output in outputs if output is not Output.JSON)
    return {kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for kind in others}
