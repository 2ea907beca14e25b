"""What lives as long as the server: settings, the estimator, and the gates in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


class Gate:
    """Lets so many in at a time and turns the next one away, so that memory and waiting stay bounded.

    It belongs to one event loop and needs no lock. ``things`` names in the refusal what it counts.
    """

    def __init__(self, places: int, things: str) -> None:
        self._free = places
        self._things = things

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Hold one place.

        Raises:
            Overloaded: none is free.
        """
        if self._free == 0:
            raise Overloaded(f"as many {self._things} as allowed are under way. Try again in 1 s.")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class State(TypedDict):
    """What the lifespan hands to every request; ``store`` and ``groups`` are None when nothing is kept.

    A body passes the gate ``uploads`` (that of a batch ``batches``) while it arrives and ``estimates`` once it is
    there: a slow sender keeps nobody from an estimate.
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
