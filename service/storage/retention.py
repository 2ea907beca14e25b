"""What is old is deleted, in the files of the database too."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select

from service.storage import batches
from service.storage.replays import KEPT
from service.storage.store import Act, Store, now
from service.storage.tables import BATCHES, ECGS, ESTIMATES, FEEDBACK, ITEMS, REPLAYS, WORKERS

INTERVAL_S = 3600.0
_SPOOL_GRACE_S = 900.0  # a batch that is being received has files in the spool and no row yet
_ACT = Act("retention", "retention")


def purge(store: Store) -> int:
    """Delete what is older than the settings say, of batches also the spool; how many estimates and batches went.

    The audit trail stays: it holds ids and no values, and a trail that forgets proves nothing.

    Raises:
        StorageUnavailable: nothing was deleted.
    """
    limit = now() - timedelta(days=store.retention_days)
    old = select(ESTIMATES.c.id).where(ESTIMATES.c.created_at < limit)
    old_batches = select(BATCHES.c.id).where(BATCHES.c.created_at < limit)
    with store.act() as connection:
        for table in (FEEDBACK, ECGS):
            connection.execute(delete(table).where(table.c.estimate_id.in_(old)))
        connection.execute(delete(ITEMS).where(ITEMS.c.batch_id.in_(old_batches)))
        gone = connection.execute(delete(ESTIMATES).where(ESTIMATES.c.created_at < limit)).rowcount
        gone += connection.execute(delete(BATCHES).where(BATCHES.c.created_at < limit)).rowcount
        connection.execute(delete(REPLAYS).where(REPLAYS.c.created_at < now() - KEPT))
        connection.execute(delete(WORKERS).where(WORKERS.c.seen_at < now() - timedelta(days=1)))
        if gone:
            store.record(connection, _ACT, "retention.purge", f"{gone} older than {store.retention_days} days")
    if gone:
        store.database.scrub(("estimates", "feedback", "ecgs", "batches", "batch_items"))
    batches.sweep(store, _SPOOL_GRACE_S)
    return gone
