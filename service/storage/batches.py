"""Batches and their ECGs as jobs: submitted whole, claimed under a lease, finished once.

An ECG is queued, running or done. A worker claims one and prolongs its lease while it works; when it dies the lease
runs out and another claims the ECG again. Who finishes it must still hold it: estimate, answer and the mark "done" are
one transaction, so an ECG may be computed twice but is kept once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, or_, select, update

from service.errors import StorageUnavailable, UnknownBatch
from service.storage import estimates
from service.storage.replays import once
from service.storage.store import Act, Store, now
from service.storage.tables import BATCHES, ITEMS, WORKERS

MAX_ATTEMPTS = 5
"""An ECG that so many workers died of is given up."""

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One ECG that a worker holds; ``attempts`` counts how often it was claimed and tells one claim from the next."""

    id: int
    batch_id: str
    position: int
    worker: str
    attempts: int
    fields: dict[str, Any]
    caller: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one ECG: the answer or the problem, its HTTP status, and what is kept as an estimate."""

    status: int
    answer: dict[str, Any]
    row: estimates.Row | None
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a batch is."""

    id: str
    created_at: datetime
    finished_at: datetime | None
    n_ecgs: int
    n_done: int
    n_refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """How much waits, since when, and how many workers were heard of within the lease."""

    n_waiting: int
    n_workers: int
    oldest_s: float


def submit(store: Store, act: Act, fields: dict[str, Any], ecgs: Iterable[bytes], fingerprint: str) -> str:
    """Keep a batch: its ECGs in the spool, then all of it in one transaction; the id of the batch.

    Raises:
        IdempotencyMismatch: the key of this request came before with another one.
        StorageUnavailable: nothing was kept.
    """
    batch_id = uuid.uuid4().hex
    try:
        n_ecgs = _spooled(store, batch_id, ecgs)
        with store.act() as connection:
            kept = once(connection, act, fingerprint, lambda: _add(store, connection, act, (batch_id, fields, n_ecgs)))
    except StorageUnavailable:
        raise  # it may have been committed all the same: the sweep asks the database, and then clears up
    except BaseException:
        store.spool.discard_batch(batch_id)
        raise
    if kept != batch_id:  # it was submitted before
        store.spool.discard_batch(batch_id)
    return kept


def _spooled(store: Store, batch_id: str, ecgs: Iterable[bytes]) -> int:
    n_ecgs = 0
    try:
        for content in ecgs:
            store.spool.write(batch_id, n_ecgs, content)
            n_ecgs += 1
    except StorageUnavailable:  # full: make room at once
        store.spool.discard_batch(batch_id)
        raise
    return n_ecgs


def claim(store: Store, worker: str, lease_s: float) -> Item | None:
    """The oldest ECG that nobody works on, held by this worker from now on; None when there is none.

    Raises:
        StorageUnavailable: the database cannot be reached.
    """
    with store.database.read() as connection:
        if connection.execute(select(ITEMS.c.id).where(_is_free()).limit(1)).first() is None:
            return None
    oldest = select(ITEMS).where(_is_free()).order_by(ITEMS.c.id).limit(1).with_for_update(skip_locked=True)
    with store.database.write() as connection:
        row = connection.execute(oldest).first()
        if row is None:
            return None
        held = {"state": "running", "worker": worker, "attempts": row.attempts + 1}
        until = now() + timedelta(seconds=lease_s)
        connection.execute(update(ITEMS).where(ITEMS.c.id == row.id).values(held | {"lease_until": until}))
        batch = connection.execute(select(BATCHES).where(BATCHES.c.id == row.batch_id)).one()
    return Item(
        id=row.id,
        batch_id=row.batch_id,
        position=row.position,
        worker=worker,
        attempts=row.attempts + 1,
        fields=batch.fields,
        caller=batch.caller,
        request_id=batch.request_id,
    )


def prolong(store: Store, item: Item, lease_s: float) -> bool:
    """Hold an ECG for longer; False when it is no longer held."""
    with store.database.write() as connection:
        until = now() + timedelta(seconds=lease_s)
        return connection.execute(update(ITEMS).where(_is_held(item)).values(lease_until=until)).rowcount == 1


def finish(store: Store, item: Item, outcome: Outcome) -> bool:
    """Keep what became of an ECG and delete it from the spool; False when another worker holds it meanwhile, or its
    batch was deleted: then nothing is kept.

    Raises:
        StorageUnavailable: nothing was kept; the ECG is claimed again once its lease has run out.
    """
    with store.act() as connection:
        done = {"state": "done", "status": outcome.status, "answer": outcome.answer, "lease_until": None}
        is_ours = connection.execute(update(ITEMS).where(_is_held(item)).values(done)).rowcount == 1
        if is_ours:
            _keep_estimate(store, connection, item, outcome)
            connection.execute(
                update(BATCHES)
                .where(BATCHES.c.id == item.batch_id, ~exists().where(ITEMS.c.batch_id == item.batch_id, _IS_OPEN))
                .values(finished_at=now())
            )
    if is_ours:
        store.spool.discard(item.batch_id, item.position)
    return is_ours


def progress(store: Store, batch_id: str, caller: str | None) -> Progress:
    """How far a batch is; ``caller`` None may see every batch.

    Raises:
        UnknownBatch: there is none of this id, or it is another caller's.
    """
    count = func.count(ITEMS.c.id)
    with store.database.read() as connection:
        batch = _batch(connection, batch_id, caller)
        of_batch = ITEMS.c.batch_id == batch_id
        n_done = connection.execute(select(count).where(of_batch, ITEMS.c.state == "done")).scalar_one()
        n_refused = connection.execute(select(count).where(of_batch, ITEMS.c.status >= 400)).scalar_one()
    return Progress(
        id=batch_id,
        created_at=batch.created_at,
        finished_at=batch.finished_at,
        n_ecgs=batch.n_items,
        n_done=n_done,
        n_refused=n_refused,
    )


def results(store: Store, batch_id: str) -> Iterator[dict[str, Any]]:
    """What is done of a batch, in the order of its ECGs, read page by page; no transaction is open between pages."""
    columns = (ITEMS.c.position, ITEMS.c.status, ITEMS.c.estimate_id, ITEMS.c.answer)
    last = -1
    while True:
        query = select(*columns).where(ITEMS.c.batch_id == batch_id, ITEMS.c.state == "done", ITEMS.c.position > last)
        with store.database.read() as connection:
            rows = connection.execute(query.order_by(ITEMS.c.position).limit(_PAGE)).mappings().all()
        if not rows:
            return
        yield from (dict(row) for row in rows)
        last = rows[-1]["position"]


def remove(store: Store, act: Act, batch_id: str, caller: str | None) -> None:
    """Delete a batch, what is left of it in the spool, and its answers; the estimates stay.

    Raises:
        UnknownBatch: there is none of this id, or it is another caller's.
    """
    with store.act() as connection:
        _batch(connection, batch_id, caller)
        connection.execute(delete(ITEMS).where(ITEMS.c.batch_id == batch_id))
        connection.execute(delete(BATCHES).where(BATCHES.c.id == batch_id))
        store.record(connection, act, "batch.delete", batch_id)
    store.spool.discard_batch(batch_id)


def hear(store: Store, worker: str) -> None:
    """A worker says that it lives."""
    with store.database.write() as connection:
        known = connection.execute(update(WORKERS).where(WORKERS.c.id == worker).values(seen_at=now())).rowcount
        if not known:
            connection.execute(insert(WORKERS).values(id=worker, seen_at=now()))


def leave(store: Store, worker: str) -> None:
    """A worker says that it ends."""
    with store.database.write() as connection:
        connection.execute(delete(WORKERS).where(WORKERS.c.id == worker))


def queue(connection: Connection, lease_s: float) -> Queue:
    """The state of the queue."""
    open_since = func.min(BATCHES.c.created_at)
    waiting = select(func.count(ITEMS.c.id), open_since).join(BATCHES, BATCHES.c.id == ITEMS.c.batch_id).where(_IS_OPEN)
    n_waiting, since = connection.execute(waiting).one()
    alive = WORKERS.c.seen_at > now() - timedelta(seconds=lease_s)
    n_workers = connection.execute(select(func.count(WORKERS.c.id)).where(alive)).scalar_one()
    oldest_s = (now() - since).total_seconds() if since else 0.0
    return Queue(n_waiting=n_waiting, n_workers=n_workers, oldest_s=oldest_s)


def sweep(store: Store, older_than_s: float) -> int:
    """Delete from the spool what a process left that died between a transaction and its clearing up; how many."""
    n_swept = 0
    for batch_id in store.spool.batches(older_than_s):
        with store.database.read() as connection:
            query = select(ITEMS.c.position).where(ITEMS.c.batch_id == batch_id, _IS_OPEN)
            pending = {position for (position,) in connection.execute(query)}
        for position in store.spool.positions(batch_id):
            if position not in pending:
                store.spool.discard(batch_id, position)
                n_swept += 1
        if not pending:
            store.spool.discard_batch(batch_id)
    return n_swept


_IS_OPEN = ITEMS.c.state != "done"


def _is_free() -> ColumnElement[bool]:
    return or_(ITEMS.c.state == "queued", and_(ITEMS.c.state == "running", ITEMS.c.lease_until < now()))


def _is_held(item: Item) -> ColumnElement[bool]:
    claim_of_it = (ITEMS.c.worker == item.worker, ITEMS.c.attempts == item.attempts)
    return and_(ITEMS.c.id == item.id, ITEMS.c.state == "running", *claim_of_it)


def _add(store: Store, connection: Connection, act: Act, what: tuple[str, dict[str, Any], int]) -> str:
    batch_id, fields, n_ecgs = what
    batch = {"id": batch_id, "created_at": now(), "caller": act.actor, "request_id": act.request_id, "fields": fields}
    connection.execute(insert(BATCHES).values(batch | {"n_items": n_ecgs}))
    queued = {"batch_id": batch_id, "state": "queued", "attempts": 0}
    connection.execute(insert(ITEMS), [queued | {"position": position} for position in range(n_ecgs)])
    store.record(connection, act, "batch.create", batch_id)
    return batch_id


def _keep_estimate(store: Store, connection: Connection, item: Item, outcome: Outcome) -> None:
    if outcome.row is None:
        return
    act = Act(item.caller, item.request_id)
    made = estimates.add(connection, act, outcome.row, "batch")
    if store.keeps_ecg and outcome.content is not None:
        estimates.add_ecg(connection, made, outcome.content)
    connection.execute(update(ITEMS).where(ITEMS.c.id == item.id).values(estimate_id=made))
    store.record(connection, act, "estimate.create", made)


def _batch(connection: Connection, batch_id: str, caller: str | None) -> Any:
    batch = connection.execute(select(BATCHES).where(BATCHES.c.id == batch_id)).first()
    if batch is None or (caller is not None and batch.caller != caller):
        raise UnknownBatch("there is no such batch; expected the id of one of yours that is still kept.")
    return batch
