"""From an error to its problem document (RFC 9457): one table, one handler."""

from __future__ import annotations

import re
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

import ecg_ka
from service.schemas import Problem

MEDIA_TYPE = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class ServiceError(Exception):
    """Base of what the service itself refuses; ``status`` and ``title`` go into the problem."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    title = "Service error"
    headers: dict[str, str] = {}  # noqa: RUF012 - read only


class InvalidRequest(ServiceError):
    """A form field is missing, unknown, given twice or out of range."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "Invalid request"


class MalformedRequest(ServiceError):
    """The request is no valid HTTP, or two readers could understand it differently."""

    status = HTTPStatus.BAD_REQUEST
    title = "Malformed request"
    headers = {"Connection": "close"}  # noqa: RUF012 - where the next request begins is not certain


class HeadersTooLarge(ServiceError):
    """Address and headers are larger than any client of ours needs."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    title = "Headers too large"
    headers = {"Connection": "close"}  # noqa: RUF012 - read only


class MalformedBody(ServiceError):
    """The multipart body is broken, or holds too many parts."""

    status = HTTPStatus.BAD_REQUEST
    title = "Malformed body"


class UnsupportedBody(ServiceError):
    """The body is not multipart/form-data."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    title = "Unsupported body"


class BodyTooLarge(ServiceError):
    """The body is larger than the operator allows."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    title = "Body too large"
    headers = {"Connection": "close"}  # noqa: RUF012 - the rest of the body is not read


class UploadTimeout(ServiceError):
    """The body did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    title = "Upload timeout"
    headers = {"Connection": "close"}  # noqa: RUF012 - the rest of the body is not read


class Overloaded(ServiceError):
    """As many uploads or estimates as allowed are under way."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Overloaded"
    headers = {"Retry-After": "1"}  # noqa: RUF012 - read only


class TooManyConnections(Overloaded):
    """As many connections as allowed are open."""

    title = "Too many connections"
    headers = {"Retry-After": "1", "Connection": "close"}  # noqa: RUF012 - read only


class NotReady(ServiceError):
    """No bundle is loaded."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Not ready"


class ModelRefused(ServiceError):
    """A bundle that was to be used is damaged, unknown, or answers otherwise than where it was made."""

    status = HTTPStatus.CONFLICT
    title = "Model refused"


class Unauthenticated(ServiceError):
    """No key or token came, or it is not a valid one."""

    status = HTTPStatus.UNAUTHORIZED
    title = "Unauthenticated"
    headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}  # noqa: RUF012 - the body is not read


class Forbidden(ServiceError):
    """The caller is known and may not do this."""

    status = HTTPStatus.FORBIDDEN
    title = "Forbidden"
    headers = {"Connection": "close"}  # noqa: RUF012 - the body is not read


class TooManyRequests(ServiceError):
    """One caller asks too often, or guesses keys."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    title = "Too many requests"

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(max(1, round(retry_after_s + 0.5))), "Connection": "close"}


class NoVarianceComponents(ServiceError):
    """The model cannot take earlier ECGs into account."""

    status = HTTPStatus.NOT_IMPLEMENTED
    title = "No variance components"


class StorageUnavailable(ServiceError):
    """The database or the spool does not take what has to be kept."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    title = "Storage unavailable"
    headers = {"Retry-After": "5"}  # noqa: RUF012 - read only


class StorageOff(ServiceError):
    """The service keeps nothing, so there is nothing to do this with."""

    status = HTTPStatus.NOT_IMPLEMENTED
    title = "Storage off"


class IdempotencyMismatch(ServiceError):
    """An ``Idempotency-Key`` came again with another request."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    title = "Idempotency mismatch"


class UnknownEstimate(ServiceError):
    """No estimate of this id is kept."""

    status = HTTPStatus.NOT_FOUND
    title = "Unknown estimate"


class UnknownBatch(ServiceError):
    """No batch of this id is kept for this caller."""

    status = HTTPStatus.NOT_FOUND
    title = "Unknown batch"


class WorkersDied(ServiceError):
    """Every worker that began with this ECG ended before it was done."""

    title = "Workers died"


class EcgLost(ServiceError):
    """The bytes of an ECG of a batch are gone."""

    title = "ECG lost"


class MissingPrefetch(ServiceError):
    """A CDS Hooks request lacks the data that the service asked for, and it fetches nothing itself."""

    status = HTTPStatus.PRECONDITION_FAILED
    title = "Missing prefetch"


STATUS: dict[type[ecg_ka.EcgError], HTTPStatus] = {
    ecg_ka.UnknownFormat: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ecg_ka.RecordTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ecg_ka.UnreadableRecord: HTTPStatus.BAD_REQUEST,
    ecg_ka.UnusableRecord: HTTPStatus.UNPROCESSABLE_ENTITY,
    ecg_ka.DemoExport: HTTPStatus.CONFLICT,
    ecg_ka.ExportError: HTTPStatus.UNPROCESSABLE_ENTITY,
    ecg_ka.BundleError: HTTPStatus.SERVICE_UNAVAILABLE,
    ecg_ka.MissingDependency: HTTPStatus.NOT_IMPLEMENTED,
    ecg_ka.NoWorkingSpace: HTTPStatus.SERVICE_UNAVAILABLE,
    ecg_ka.EcgError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""The status of each class of library error; a subclass has that of its nearest ancestor."""


def problem_of(error: Exception, request_id: str) -> Problem:
    """The problem document of any error; an unexpected one tells nothing about the inside."""
    status, name, title, detail = _described(error)
    return Problem(
        type=f"urn:ecg-ka:error:{name}",
        title=title,
        status=int(status),
        detail=detail,
        instance=f"urn:ecg-ka:request:{request_id}",
    )


def response_of(error: Exception, request_id: str) -> JSONResponse:
    """The HTTP response of any error."""
    problem = problem_of(error, request_id)
    headers = getattr(error, "headers", None)
    return JSONResponse(problem.model_dump(), status_code=problem.status, headers=headers, media_type=MEDIA_TYPE)


def register(app: FastAPI) -> None:
    """Have every expected error answered by :func:`response_of`; the unexpected ones reach the middleware."""
    for error in (ecg_ka.EcgError, ServiceError, HTTPException, RequestValidationError, ClientDisconnect):
        app.add_exception_handler(error, _handle)


async def _handle(request: Request, error: Exception) -> JSONResponse:
    request.scope["problem"] = type(error).__name__  # for the log line
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        error.headers = {"Allow": ", ".join(_allowed(request))}  # it names one route, and a path may have several
    return response_of(error, request.state["request_id"])


def _allowed(request: Request) -> list[str]:
    routes, scope = request.app.routes, request.scope
    return [m for m in METHODS if any(route.matches({**scope, "method": m})[0] is Match.FULL for route in routes)]


def _described(error: Exception) -> tuple[HTTPStatus, str, str, str]:
    match error:
        case ecg_ka.EcgError():
            status = next(STATUS[base] for base in type(error).__mro__ if base in STATUS)
            return status, kebab(type(error).__name__), error.title, str(error)
        case ServiceError():
            return error.status, kebab(type(error).__name__), error.title, str(error)
        case HTTPException():
            status = HTTPStatus(error.status_code)
            return status, kebab(status.phrase), status.phrase, status.description or status.phrase
        case RequestValidationError():
            where = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
            return HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "Invalid request", f"not valid: {where}"
        case ClientDisconnect():
            return HTTPStatus.BAD_REQUEST, "incomplete-body", "Incomplete body", "the connection was closed early"
    detail = "The service failed. Report the request id to its operator."
    return HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "Internal error", detail


def kebab(name: str) -> str:
    """``TruncatedFile`` or ``Not Found`` as ``truncated-file`` and ``not-found``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|\s+", "-", name).lower()
