"""Earlier ECGs of one patient, each with the potassium that was measured with it, as they come beside a current ECG.

They are read one after the other and held in memory until the answer is made; nothing of them is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Request
from pydantic import ConfigDict, Field, Json
from starlette.datastructures import FormData

import ecg_ka
from service.errors import InvalidRequest
from service.fields import Facts, PredictFields
from service.kept_schemas import LaboratoryIn, TimeIn
from service.settings import Settings
from service.state import PATIENCE_S, LoadedEstimator
from service.storage.feedback import HAEMOLYSED, MAX_APART, TOO_FAR_APART
from service.storage.store import FIRST_YEAR, LAST_YEAR, instant
from service.upload import Upload, fields_of, files_of, parse_form, refuse_other_requests, source_of

MAX_PAIRS = 50
EARLIER = "the files of all earlier ECGs, each under its own name; zips of one ECG each too"
_MAX_FILES = 256
_MAX_FIELD_BYTES = 64_000
_SAME_TIME = timedelta(seconds=1)  # files drop fractions

_ACQUIRED_AT = "when the ECG was recorded, for a file that does not say it"


class EarlierIn(LaboratoryIn, Facts):
    """One earlier ECG, which files it is, and the potassium that was measured with it: in blood that was taken within
    60 minutes of it and not haemolysed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    files: Annotated[
        tuple[str, ...],
        Field(min_length=1, max_length=64, description="names of its files in the field earlier", examples=[["a.dcm"]]),
    ]
    potassium: Annotated[float, Field(ge=1, le=12, allow_inf_nan=False, description="the value", examples=[4.1])]
    acquired_at: Annotated[TimeIn | None, Field(description=_ACQUIRED_AT)] = None


class PersonalizeFields(PredictFields):
    """What stands beside the ECGs of one patient."""

    history: Annotated[
        Json[Annotated[tuple[EarlierIn, ...], Field(min_length=1, max_length=MAX_PAIRS)]],
        Field(description="the earlier ECGs and their laboratory values, as a JSON array"),
    ]
    acquired_at: Annotated[TimeIn | None, Field(description=_ACQUIRED_AT)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalUpload:
    """A current ECG, and the files of earlier ones by name."""

    current: Upload[PersonalizeFields]
    earlier: Mapping[str, bytes]

    def pairs(self, current: ecg_ka.EcgRecord, settings: Settings) -> Iterator[tuple[ecg_ka.EcgRecord, float]]:
        """Each earlier record and its potassium in mmol/L, read when it is asked for.

        Raises:
            EcgError: one cannot be read.
            InvalidRequest: one is not earlier, came twice, or its blood is of another time.
        """
        fields, zone = self.current.fields, ZoneInfo(settings.time_zone)
        until = _acquired_at(current, fields.acquired_at, zone, "the current ECG") or datetime.now(UTC)
        seen = {current.source.sha256}
        for number, pair in enumerate(fields.history, 1):
            which = f"earlier ECG {number}"
            record = self._read(pair, which)
            if record.source.sha256 in seen:
                raise InvalidRequest(f"{which} came before in this request; expected each ECG once.")
            seen.add(record.source.sha256)
            _check(pair, _acquired_at(record, pair.acquired_at, zone, which), until, zone, which)
            yield record, pair.potassium  # mEq/L is mmol/L for an ion of one charge

    def _read(self, pair: EarlierIn, which: str) -> ecg_ka.EcgRecord:
        source = source_of({name: self.earlier[name] for name in pair.files})
        try:
            return ecg_ka.read(source, fs_hz=pair.fs_hz, units=pair.units, leads=pair.lead_names)
        except ecg_ka.EcgError as error:
            raise type(error)(f"{which}: {error}") from None


async def receive_personal(request: Request, _: LoadedEstimator) -> AsyncIterator[PersonalUpload]:
    """Read the body, then keep a place for the estimate until the answer is made.

    Raises:
        NotReady, Overloaded, UnsupportedBody, MalformedBody, BodyTooLarge, UploadTimeout, InvalidRequest: as for one
            ECG.
    """
    refuse_other_requests(request)
    async with AsyncExitStack() as place:
        with request.state["uploads"].entered():
            form = await parse_form(request, _MAX_FILES, _MAX_FIELD_BYTES)
            try:
                sent = await _received(form)
            finally:
                await form.close()
            await place.enter_async_context(request.state["estimates"].entered_in_turn(PATIENCE_S))
        yield sent


async def _received(form: FormData) -> PersonalUpload:
    current, earlier = await files_of(form, "file"), await files_of(form, "earlier")
    fields = fields_of(form, PersonalizeFields, ("file", "earlier"))
    named = [name for pair in fields.history for name in pair.files]
    if sorted(named) != sorted(earlier):
        raise InvalidRequest(
            "the history names other files than the field 'earlier' holds; expected each file there in one entry."
        )
    return PersonalUpload(current=Upload(source=source_of(current), fields=fields), earlier=earlier)


def _acquired_at(record: ecg_ka.EcgRecord, given: datetime | None, zone: ZoneInfo, which: str) -> datetime | None:
    """When an ECG was recorded, by its file or the caller; they may not disagree."""
    stated = record.source.acquired_at
    if stated is None or not FIRST_YEAR <= stated.year <= LAST_YEAR:
        return None if given is None else instant(given, zone)
    if given is not None and abs(instant(given, zone) - instant(stated, zone)) > _SAME_TIME:
        raise InvalidRequest(f"{which} says that it was recorded at {stated.isoformat()}; leave out its acquired_at.")
    return instant(stated, zone)


def _check(pair: EarlierIn, acquired_at: datetime | None, until: datetime, zone: ZoneInfo, which: str) -> None:
    if acquired_at is None:
        raise InvalidRequest(f"{which} states no time; expected its acquired_at in the history.")
    if acquired_at >= until:
        raise InvalidRequest(f"{which} was not recorded before the current ECG; expected earlier ones.")
    if abs(instant(pair.collected_at, zone) - acquired_at) > MAX_APART:
        raise InvalidRequest(f"{which}: {TOO_FAR_APART}; leave it out.")
    if pair.haemolysed:
        raise InvalidRequest(f"{which}: {HAEMOLYSED}; leave it out.")
