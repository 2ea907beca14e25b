"""The application: settings in, FastAPI out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import ecg_ka
from service import errors, examples
from service.middleware import BodyLimit, Envelope
from service.routes import cds, health, model, predict
from service.settings import Settings
from service.state import Gate, State

_LOG = logging.getLogger("service")

_DESCRIPTION = f"""Estimates serum potassium from the file of a 12-lead ECG, with what stands behind the number.

**{ecg_ka.DISCLAIMER}**

Errors are problem documents (RFC 9457, `application/problem+json`); an error never comes with a value.
"""


def create_app(settings: Settings) -> FastAPI:
    """The application for one set of settings; its bundle is loaded when the server starts."""
    app = FastAPI(
        title="ecg-ka",
        version=ecg_ka.__version__,
        description=_DESCRIPTION,
        lifespan=lambda _: _lifespan(settings),
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(BodyLimit, max_bytes=settings.max_upload_bytes)
    app.add_middleware(Envelope)  # added last, so outermost
    errors.register(app)
    for route in (predict, cds, model, health):
        app.include_router(route.router)
    _show_example(app)
    return app


def _show_example(app: FastAPI) -> None:
    """Put the example answer into the finished description: FastAPI drops the nulls of what a route declares."""
    answer = app.openapi()["paths"]["/v1/predict"]["post"]["responses"]["200"]
    answer["content"]["application/json"]["example"] = examples.estimate()


@asynccontextmanager
async def _lifespan(settings: Settings) -> AsyncIterator[State]:
    yield State(
        settings=settings,
        estimator=_load(settings),
        uploads=Gate(settings.max_uploads, "uploads"),
        estimates=Gate(settings.max_concurrent, "estimates"),
    )


def _load(settings: Settings) -> ecg_ka.Estimator | None:
    """The estimator, or None: then the service lives, says that it is not ready, and its log tells why."""
    try:
        estimator = ecg_ka.Estimator.load(settings.bundle, threads=settings.threads)
    except ecg_ka.BundleError as error:
        _LOG.error("no bundle", extra={"data": {"reason": str(error)}})
        return None
    identity = estimator.bundle.identity()
    _LOG.info("bundle loaded", extra={"data": {"model": identity.name, "sha256": identity.sha256}})
    return estimator
