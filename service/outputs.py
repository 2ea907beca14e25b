"""Answers in other languages than JSON, as HTTP responses."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from ecg_ka import Answered, Output, exported

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


def response_of(answered: Answered, output: Output) -> Response:
    """The answer as a file of that kind; the name of the file is never the caller's."""
    name = _FILE_NAMES.get(output, f"estimate.{output}")
    headers = {"Content-Disposition": f'attachment; filename="{name}"', **_INERT}
    return Response(exported(answered, output), media_type=_MEDIA_TYPES[output], headers=headers)


def descriptions() -> dict[str, Any]:
    """The other media types of an answer, for the interface description."""
    others = (kind for output, kind in _MEDIA_TYPES.items() if output is not Output.JSON)
    return {kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for kind in others}
