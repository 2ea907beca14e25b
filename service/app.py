"""The application: settings in, FastAPI out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

from fastapi import Depends, FastAPI
from starlette.types import Lifespan

import ecg_ka
from service import errors, examples
from service.access.callers import Callers
from service.access.guard import Guard, requires
from service.hangup import on_hangup
from service.middleware import Admission, BodyLimit, Envelope
from service.models import Models
from service.monitoring.gauges import Gauges
from service.monitoring.meter import Meter
from service.routes import (
    audit,
    batches,
    cds,
    explain,
    feedback,
    health,
    metrics,
    model,
    monitoring,
    page,
    personalize,
    predict,
    quality,
    reload,
    tracing,
)
from service.routes.refusals import refusals
from service.settings import Settings
from service.state import Gate, State
from service.storage import retention
from service.storage.groups import Groups
from service.storage.keys import Scope
from service.storage.store import OFF, Act, NoStore, Store, open_store

_LOG = logging.getLogger("service")

_GUARDED = (
    (Scope.PREDICT, (predict, explain, personalize, quality, tracing, batches)),
    (Scope.FEEDBACK, (feedback,)),
    (Scope.ADMIN, (audit, reload)),
    (None, (cds, model, monitoring, metrics)),
)
"""Which key opens which routes; None: any key."""

_BATCHES_AT_A_TIME = 2
_OPERATOR = Act("operator", "SIGHUP")
_DESCRIPTION = f"""Estimates serum potassium from the file of a 12-lead ECG, with what stands behind the number.

**{ecg_ka.DISCLAIMER}**

Errors are problem documents (RFC 9457, `application/problem+json`); an error never comes with a value.
"""


def create_app(settings: Settings) -> FastAPI:
    """The application for one set of settings; its bundle is loaded when the server starts."""
    app = _routed(lambda _: _lifespan(settings))
    limits = {"/v1/batches": settings.batch_upload_bytes}
    app.add_middleware(BodyLimit, max_bytes=settings.max_upload_bytes, max_bytes_of=limits)
    app.add_middleware(Admission)
    app.add_middleware(Envelope)  # added last, so outermost
    errors.register(app)
    description = _description()  # here: it takes longer than a request may hold up others
    app.openapi = lambda: description  # type: ignore[method-assign]  # how FastAPI has a description extended
    return app


def _routed(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    app = FastAPI(
        title="ecg-ka",
        version=ecg_ka.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(health.router)
    app.include_router(page.router)
    app.mount("/page", page.assets())
    for scope, routes in _GUARDED:
        for route in routes:
            app.include_router(
                route.router, dependencies=[Depends(requires(scope))], responses=refusals(400, 401, 403, 429, 431, 503)
            )
    return app


@cache
def _description() -> dict[str, Any]:
    """Of the interface, which no setting changes. The example answers come last: FastAPI drops the nulls of what a
    route declares."""
    description = _routed().openapi()
    for path, example in examples.ANSWERS.items():
        answer = description["paths"][path]["post"]["responses"]["200"]
        answer["content"]["application/json"]["example"] = example()
    return description


@asynccontextmanager
async def _lifespan(settings: Settings) -> AsyncIterator[State]:
    store = _opened(settings)
    models = Models(settings.bundle, settings.threads)
    stop = asyncio.Event()
    cleaning = asyncio.create_task(_clean(store, stop)) if store else None
    try:
        with on_hangup(lambda: models.reload_or_stay(store, _OPERATOR)):
            models.start()
            yield _state(settings, models, store)
    finally:
        stop.set()
        if cleaning:
            await cleaning
        if store:
            store.database.close()


def _state(settings: Settings, models: Models, store: Store | None) -> State:
    return State(
        settings=settings,
        models=models,
        uploads=Gate(settings.max_uploads, "uploads"),
        estimates=Gate(settings.max_concurrent, "estimates"),
        batches=Gate(_BATCHES_AT_A_TIME, "batches"),
        store=store,
        groups=Groups(store) if store else None,
        guard=Guard(settings, Callers(settings, store)),
        meter=Meter(Gauges(store, models, settings.lease_s)),
    )


def _opened(settings: Settings) -> Store | None:
    """The store, or None: then the log tells why, and what is off for it."""
    try:
        return open_store(settings)
    except NoStore as error:
        _LOG.warning("no storage", extra={"data": {"reason": str(error), "effect": OFF}})
        return None


async def _clean(store: Store, stop: asyncio.Event) -> None:
    """Delete what is old, at the start and every hour."""
    while not stop.is_set():
        try:
            await asyncio.to_thread(retention.purge, store)
        except errors.StorageUnavailable:
            _LOG.warning("nothing was deleted, storage unavailable")
        with suppress(TimeoutError):
            async with asyncio.timeout(retention.INTERVAL_S):
                await stop.wait()
