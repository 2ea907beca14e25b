"""What a caller may send beside an ECG, as fields of a form."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ecg_ka import Output


class Facts(BaseModel):
    """For files that do not say these themselves; another value than the file's own is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fs_hz: Annotated[float | None, Field(description="sampling rate in Hz", examples=[500])] = None
    units: Annotated[str | None, Field(description="unit of the samples: mV, uV or V", examples=["uV"])] = None
    leads: Annotated[
        str | None,
        Field(description="lead names of the channels, separated by commas", examples=["I,II,V1,V2,V3,V4,V5,V6"]),
    ] = None

    @property
    def lead_names(self) -> tuple[str, ...] | None:
        """The lead names one by one."""
        return None if self.leads is None else tuple(name.strip() for name in self.leads.split(","))


class EcgFields(Facts):
    """What may stand beside an ECG that is looked at."""

    level: Annotated[float, Field(ge=0.5, le=0.99, description="probability that the interval is to hold")] = 0.9


class OneEcgFields(EcgFields):
    """What may stand beside the ECG of one patient."""

    age_years: Annotated[
        float | None,
        Field(ge=0, le=120, description="age of the patient, beside that of the file: under 18 by either, no value"),
    ] = None


class PredictFields(OneEcgFields):
    """What may stand beside the ECG of one estimate: also in which language the answer is wanted, and for whom.

    Those are left out of dumps and with them of the hash of a request: an ``Idempotency-Key`` sent again with another
    of them asks for the same estimate in another language.
    """

    output: Annotated[
        Output,
        Field(
            exclude=True,
            description="language of the answer: json; fhir (R4 transaction bundle), dicom-sr (Comprehensive SR, for "
            "an ECG that came as DICOM) and hl7v2 (v2.5.1 ORU^R01) for records; pdf and svg (page with the tracing)",
        ),
    ] = Output.JSON
    subject: Annotated[
        str | None,
        Field(
            exclude=True,
            max_length=320,
            description="for fhir and hl7v2: a FHIR reference to the patient, or assigner and record number with a bar "
            "between; copied into this answer and stored nowhere",
            examples=["Patient/4711", "HOSPITAL|4711"],
        ),
    ] = None
    client_reference: Annotated[
        str | None,
        Field(
            exclude=True,
            max_length=120,
            description="for fhir and hl7v2: what the caller calls this request; as for subject",
        ),
    ] = None


class ExplainFields(OneEcgFields):
    """What may stand beside an ECG whose estimate is to be explained."""

    output: Annotated[
        Literal[Output.JSON, Output.SVG, Output.PDF],
        Field(description="json: a table; svg and pdf: the page with the tracing, its waves shaded by their effect"),
    ] = Output.JSON
