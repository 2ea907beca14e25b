"""Many ECGs in, their answers later."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse

from service.access.guard import TheAct, TheCaller
from service.batches import rows
from service.batches.intake import ReceivedBatch
from service.fields import EcgFields
from service.kept_schemas import BatchEcgOut, BatchOut, BatchSubmittedOut
from service.routes.forms import MANY_ECGS, REPLAY_KEY, form_of
from service.routes.refusals import refusals
from service.settings import Settings
from service.state import OpenedStore
from service.storage import batches
from service.storage.store import Store

router = APIRouter(prefix="/v1/batches", tags=["batches"])
BatchId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
_NDJSON = "application/x-ndjson"
_CSV = "text/csv; charset=utf-8"


@router.post(
    "",
    status_code=202,
    responses=refusals(400, 404, 408, 413, 415, 422, 501, 503),
    openapi_extra={**form_of(EcgFields, file=MANY_ECGS), "parameters": [REPLAY_KEY]},
)
def submit(
    request: Request, response: Response, submission: ReceivedBatch, store: OpenedStore, act: TheAct
) -> BatchSubmittedOut:
    """Keep many ECGs for the workers. The answer says which files are the ECG at which position: names are not kept.

    404: this `Idempotency-Key` came before, and its batch was deleted since.
    """
    fields = submission.fields.model_dump()
    batch_id = batches.submit(store, act, fields, submission.contents(), submission.fingerprint)
    response.headers["Location"] = f"/v1/batches/{batch_id}"
    ecgs = [BatchEcgOut(position=position, names=names) for position, names in enumerate(submission.names)]
    return BatchSubmittedOut(batch=_batch(store, request, batch_id, None), ecgs=ecgs)


@router.get("/{batch_id}", responses=refusals(404, 422, 501, 503))
def progress(batch_id: BatchId, request: Request, store: OpenedStore, caller: TheCaller) -> BatchOut:
    """How far a batch is."""
    return _batch(store, request, batch_id, caller.sees_only)


@router.get(
    "/{batch_id}/results.ndjson",
    response_class=StreamingResponse,
    responses=refusals(404, 422, 501, 503) | {200: {"content": {_NDJSON: {"schema": {"type": "string"}}}}},
)
def results_ndjson(batch_id: BatchId, store: OpenedStore, caller: TheCaller) -> StreamingResponse:
    """What is done of a batch, one JSON object a line: position, status, estimate_id, estimate or problem."""
    batches.progress(store, batch_id, caller.sees_only)
    return StreamingResponse(rows.ndjson(batches.results(store, batch_id)), media_type=_NDJSON)


@router.get(
    "/{batch_id}/results.csv",
    response_class=StreamingResponse,
    responses=refusals(404, 422, 501, 503) | {200: {"content": {_CSV: {"schema": {"type": "string"}}}}},
)
def results_csv(batch_id: BatchId, store: OpenedStore, caller: TheCaller) -> StreamingResponse:
    """What is done of a batch, one line an ECG. Research use only, not a medical device."""
    batches.progress(store, batch_id, caller.sees_only)
    return StreamingResponse(rows.as_csv(batches.results(store, batch_id)), media_type=_CSV)


@router.delete("/{batch_id}", status_code=204, responses=refusals(404, 422, 501, 503))
def remove(batch_id: BatchId, store: OpenedStore, caller: TheCaller, act: TheAct) -> None:
    """Delete a batch, its answers, and what is left of it in the spool. Its estimates stay, without any ECG."""
    batches.remove(store, act, batch_id, caller.sees_only)


def _batch(store: Store, request: Request, batch_id: str, sees_only: str | None) -> BatchOut:
    settings: Settings = request.state["settings"]
    progress = batches.progress(store, batch_id, sees_only)
    with store.database.read() as connection:
        queue = batches.queue(connection, settings.lease_s)
    state = "done" if progress.finished_at else "running"
    return BatchOut.model_validate(asdict(progress) | {"state": state, "n_workers": queue.n_workers})
