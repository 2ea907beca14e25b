"""``Idempotency-Key``: a write that is sent again does nothing again.

Kept are the hash of the key and of the request, and the id of what was made, in the transaction that made it: there is
no moment at which the one is there without the other, and no answer with a patient's data in it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection, delete, insert, select

from service.errors import IdempotencyMismatch
from service.storage.store import Act, now
from service.storage.tables import REPLAYS

KEPT = timedelta(hours=24)


def once(connection: Connection, act: Act, fingerprint: str, make: Callable[[], str]) -> str:
    """The id of what ``make`` makes, or of what it made when this request came first; inside :meth:`Store.act`, which
    lets nobody else in meanwhile.

    Raises:
        IdempotencyMismatch: the key came before, with another request.
    """
    if act.replay_id is None:
        return make()
    query = select(REPLAYS).where(REPLAYS.c.id == act.replay_id, REPLAYS.c.created_at > now() - KEPT)
    earlier = connection.execute(query).first()
    if earlier is None:
        connection.execute(delete(REPLAYS).where(REPLAYS.c.id == act.replay_id))  # one that is too old
        made = make()
        values = {"id": act.replay_id, "fingerprint": fingerprint, "resource_id": made, "created_at": now()}
        connection.execute(insert(REPLAYS).values(values))
        return made
    if earlier.fingerprint != fingerprint:
        raise IdempotencyMismatch(
            "this Idempotency-Key came before with another request; expected a new key for a new request."
        )
    return str(earlier.resource_id)
