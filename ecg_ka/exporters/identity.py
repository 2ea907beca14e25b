"""Whose ECG it is, as the caller says: copied into one output and kept nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ecg_ka.errors import ExportError

_PATIENT = re.compile(r"(https?://[^\s|<>\"\\^`{}]{1,200}/)?Patient/[A-Za-z0-9\-.]{1,64}|urn:uuid:[0-9a-f-]{36}")
_LONGEST = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A FHIR ``reference`` to a patient, or a ``record_number`` with its ``assigner``, and what the caller calls this
    request (``client_reference``). Records and estimates know no one, so that all of it has to be given.

    Raises:
        ExportError: text that no record system takes.
    """

    reference: str | None = None
    record_number: str | None = None
    assigner: str | None = None
    client_reference: str | None = None

    def __post_init__(self) -> None:
        for text in (self.record_number, self.assigner, self.client_reference):
            if text is not None and not (0 < len(text) <= _LONGEST and text.isprintable() and text == text.strip()):
                raise ExportError(f"{text[:40]!r} as an identifier; expected 1 to {_LONGEST} printable characters")
        if self.reference is not None and not _PATIENT.fullmatch(self.reference):
            raise ExportError(
                f"{self.reference[:40]!r} is no FHIR reference to a patient; expected one as Patient/4711"
            )
        if (self.record_number is None) != (self.assigner is None):
            raise ExportError("a record number has an assigner; expected both, as ASSIGNER|4711")

    @classmethod
    def of(cls, subject: str | None, client_reference: str | None) -> Identity:
        """From one text: a FHIR reference such as ``Patient/4711``, or ``ASSIGNER|4711``."""
        if subject is None or "|" not in subject:
            return cls(reference=subject, client_reference=client_reference)
        assigner, _, number = subject.rpartition("|")
        return cls(record_number=number, assigner=assigner, client_reference=client_reference)
