"""The audit trail: who did what when, as a chain of keyed hashes that shows what was changed or cut out.

Each entry's hash is HMAC-SHA-256 over the entry and the hash before it, with a key that is not in the database: whoever
can write the database alone cannot make a chain that fits. What a chain cannot show is a cut at its end; for that the
log gets the hash of every entry, and :func:`verify` takes one to look for.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from service.storage.tables import AUDIT, AUDIT_HEAD

_PAGE = 1000
_HEAD = "audit_head"
_HEAD_NOW = select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash).where(AUDIT_HEAD.c.id == 1)
_LOCKED = _HEAD_NOW.with_for_update()
_ADD = insert(AUDIT)
_MOVE = update(AUDIT_HEAD).where(AUDIT_HEAD.c.id == 1).values(seq=bindparam("seq"), hash=bindparam("hash"))


@dataclass(frozen=True, slots=True)
class Deed:
    """Who did what to which thing, in which request."""

    actor: str
    action: str
    object: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One link of the chain; ``at`` is the time in ISO 8601, kept as text so that its hash never depends on a type."""

    seq: int
    at: str
    actor: str
    action: str
    object: str
    request_id: str
    previous: str
    hash: str

    @property
    def mark(self) -> str:
        """Number and hash, as the log carries them."""
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What :func:`verify` found; ``fault`` is None when the chain is whole."""

    n_entries: int
    head: str
    fault: str | None


def lock(connection: Connection) -> None:
    """Keep every other writer of the trail out until this transaction ends, and remember where the trail ends."""
    head = connection.execute(_LOCKED).one()
    connection.info[_HEAD] = head.seq, head.hash


def append(connection: Connection, secret: bytes, deeds: Iterable[Deed]) -> list[Entry]:
    """Add an entry for each deed; the caller holds the :func:`lock`."""
    seq, previous = connection.info[_HEAD]
    added: list[Entry] = []
    for deed in deeds:
        fields = {"seq": seq + 1, "at": datetime.now(UTC).isoformat(), **asdict(deed), "previous": previous}
        entry = Entry(**fields, hash=_hash(secret, fields))
        added.append(entry)
        seq, previous = entry.seq, entry.hash
    if added:
        connection.execute(_ADD, [asdict(entry) for entry in added])
        connection.execute(_MOVE, {"seq": seq, "hash": previous})
        connection.info[_HEAD] = seq, previous
    return added


def entries(connection: Connection, after: int = 0) -> Iterator[Entry]:
    """The entries in order, read page by page."""
    while True:
        query = select(AUDIT).where(AUDIT.c.seq > after).order_by(AUDIT.c.seq).limit(_PAGE)
        rows = connection.execute(query).mappings().all()
        yield from (Entry(**row) for row in rows)
        if len(rows) < _PAGE:
            return
        after = rows[-1]["seq"]


def verify(connection: Connection, secret: bytes, known: str | None = None) -> Verdict:
    """Follow the chain from its first entry to its head; ``known`` is a ``seq:hash`` from a log that must be in it."""
    seq, last, seen = 0, "0" * 64, known is None
    for entry in entries(connection):
        fields = asdict(entry)
        claimed = fields.pop("hash")
        if entry.seq != seq + 1 or entry.previous != last:
            return _verdict(seq, last, f"entry {seq + 1} is missing or out of order")
        if not hmac.compare_digest(_hash(secret, fields), claimed):
            return _verdict(seq, last, f"entry {entry.seq} was changed")
        seq, last, seen = entry.seq, entry.hash, seen or entry.mark == known
    head = connection.execute(_HEAD_NOW).first()
    if head is None or (head.seq, head.hash) != (seq, last):
        return _verdict(seq, last, f"entries after {seq} were cut off")
    return _verdict(seq, last, None if seen else f"the trail does not hold {str(known)[:80]!r}, which a log names")


def _verdict(seq: int, last: str, fault: str | None) -> Verdict:
    return Verdict(n_entries=seq, head=f"{seq}:{last}", fault=fault)


def _hash(secret: bytes, fields: dict[str, object]) -> str:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(secret, b"audit\0" + canonical, hashlib.sha256).hexdigest()
