"""Estimates that wait for the database at the same time are kept in one transaction.

The audit trail lets in one writer at a time, so under load requests wait anyway, and a transaction for several costs
hardly more than one for a single one. Nobody waits for company: whoever's turn it is keeps what is there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import StorageUnavailable
from service.storage import estimates
from service.storage.estimates import Wanted
from service.storage.store import Store

_MAX_TOGETHER = 64


@dataclass(slots=True, eq=False)
class _Place:
    wanted: Wanted
    outcome: str | Exception | None = None


class Groups:
    """The estimates of this process on their way into a store; safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._waiting: deque[_Place] = deque()  # anyone appends; who has the turn takes

    def keep(self, wanted: Wanted) -> str:
        """Keep one estimate, beside the others that wait; its id.

        Raises:
            IdempotencyMismatch: the key of this request came before with another one.
            StorageUnavailable: it was not kept.
        """
        place = _Place(wanted)
        self._waiting.append(place)
        with self._turn:
            while place.outcome is None:  # else it was kept in the turn of another
                self._keep([self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_TOGETHER))])
        if isinstance(place.outcome, str):
            return place.outcome
        assert place.outcome is not None  # noqa: S101 - a place leaves the line with its outcome
        raise place.outcome

    def _keep(self, together: Sequence[_Place]) -> None:
        try:
            outcomes: Sequence[str | Exception] = estimates.keep(self._store, [place.wanted for place in together])
        except StorageUnavailable as error:
            outcomes = [StorageUnavailable(str(error)) for _ in together]
        except Exception as error:  # noqa: BLE001 - what is wrong with one request is not the fault of its neighbours
            if len(together) > 1:
                for place in together:
                    self._keep([place])
                return
            outcomes = [error]
        for place, outcome in zip(together, outcomes, strict=True):
            place.outcome = outcome
