"""Keeps the estimate of a request, if there is a store."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from ecg_ka import EcgRecord, Estimate
from service.access.guard import TheAct
from service.fields import PredictFields
from service.monitoring.meter import Meter
from service.storage import estimates
from service.storage.groups import Groups
from service.storage.store import Act, Store
from service.upload import Upload


class Keeper:
    """Keeps one estimate; its id goes out in the header ``X-Estimate-ID``, whatever the answer is written in."""

    def __init__(self, request: Request, act: Act) -> None:
        self._request = request
        self._act = act

    def keep(self, upload: Upload[PredictFields], record: EcgRecord, estimate: Estimate) -> None:
        """Count it, and keep it where there is a store.

        Raises:
            IdempotencyMismatch: the ``Idempotency-Key`` came before with another request.
            StorageUnavailable: it could not be kept: then no answer is given either, for none may lack its trail.
        """
        meter: Meter = self._request.state["meter"]
        meter.count_estimate(estimate)
        store: Store | None = self._request.state["store"]
        groups: Groups | None = self._request.state["groups"]
        if store is None or groups is None:
            return
        fingerprint = upload.fingerprint if self._act.replay_id else ""
        row = estimates.row_of(store, record, estimate)
        wanted = estimates.Wanted(self._act, row, fingerprint, upload.content if store.keeps_ecg else b"")
        self._request.state["estimate_id"] = groups.keep(wanted)

    def note(self, action: str, estimate: Estimate) -> None:
        """Write into the trail that it was done and with which model; of the ECG and its answer nothing is kept.

        Raises:
            StorageUnavailable: it could not be written: then no answer is given either.
        """
        store: Store | None = self._request.state["store"]
        if store is not None:
            with store.act() as connection:
                store.record(connection, self._act, action, estimate.model.sha256)


async def the_keeper(request: Request, act: TheAct) -> Keeper:
    """The keeper of this request."""
    return Keeper(request, act)


TheKeeper = Annotated[Keeper, Depends(the_keeper)]
