"""What lives as long as the server: settings, the estimator, and the gates in front of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, TypedDict

from fastapi import Depends, Request

from ecg_ka import Estimator
from service.access.guard import Guard
from service.errors import NotReady, Overloaded, StorageOff
from service.models import Models
from service.monitoring.meter import Meter
from service.settings import Settings
from service.storage.groups import Groups
from service.storage.store import OFF, Store

PATIENCE_S = 5.0
"""So long what is whole waits for its place; who may wait at all, another gate has said."""


class Gate:
    """Lets so many in at a time and turns the next one away, so that memory and waiting stay bounded.

    It belongs to one event loop and needs no lock. ``things`` names in the refusal what it counts.
    """

    def __init__(self, places: int, things: str) -> None:
        self._free = places
        self._things = things
        self._line: deque[asyncio.Future[None]] = deque()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Hold one place.

        Raises:
            Overloaded: none is free.
        """
        if self._free == 0:
            raise self._overloaded()
        self._free -= 1
        try:
            yield
        finally:
            self._leave()

    @asynccontextmanager
    async def entered_in_turn(self, wait_s: float) -> AsyncIterator[None]:
        """Hold one place; if none is free, after those who came before.

        Raises:
            Overloaded: none was in that time.
        """
        if self._free:
            self._free -= 1
        else:
            await self._turn(wait_s)
        try:
            yield
        finally:
            self._leave()

    async def _turn(self, wait_s: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except BaseException as error:  # also when the caller hangs up
            if turn.done() and not turn.cancelled():
                self._leave()  # the place came at the same moment
            if isinstance(error, TimeoutError):
                raise self._overloaded() from None
            raise

    def _leave(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)  # the place goes from hand to hand
                return
        self._free += 1

    def _overloaded(self) -> Overloaded:
        return Overloaded(f"as many {self._things} as allowed are under way. Try again in 1 s.")


class State(TypedDict):
    """What the lifespan hands to every request; ``store`` and ``groups`` are None when nothing is kept.

    A body passes the gate ``uploads`` (that of a batch ``batches``) while it arrives, and waits there once it is whole
    until ``estimates`` has a place. So a slow sender keeps nobody from an estimate, and under overload requests are
    refused before their bodies are read and not after.
    """

    settings: Settings
    models: Models
    uploads: Gate
    estimates: Gate
    batches: Gate
    store: Store | None
    groups: Groups | None
    guard: Guard
    meter: Meter


async def loaded_estimator(request: Request) -> Estimator:
    """The model in use, for the whole of this request.

    Raises:
        NotReady: its bundle could not be loaded.
    """
    models: Models = request.state["models"]
    estimator = models.current
    if estimator is None:
        raise NotReady("no model bundle is loaded; expected one at ECG_KA_BUNDLE. The log tells why.")
    return estimator


LoadedEstimator = Annotated[Estimator, Depends(loaded_estimator)]


async def opened_store(request: Request) -> Store:
    """The store.

    Raises:
        StorageOff: nothing is kept here.
    """
    store: Store | None = request.state["store"]
    if store is None:
        raise StorageOff(f"{OFF}. Expected ECG_KA_DATA to name a folder that can be written.")
    return store


OpenedStore = Annotated[Store, Depends(opened_store)]
