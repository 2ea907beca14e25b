"""In front of every route but the open ones: who is it, may they, and not too often."""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from service.access.buckets import Buckets
from service.access.callers import ANONYMOUS, Caller, Callers
from service.access.sites import refuse_other_sites
from service.errors import Forbidden, InvalidRequest, TooManyRequests, Unauthenticated
from service.settings import Settings
from service.storage.keys import Scope
from service.storage.store import Act

_REMEMBERED_S = 10.0  # so long a key that was revoked still opens
_MAX_REMEMBERED = 1000
REPLAY_KEY_PATTERN = "[!-~]{1,255}"

_BEARER = HTTPBearer(auto_error=False, description="an API key, or a token of the OIDC issuer")
_API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="an API key")


class Guard:
    """Admits callers; it belongs to one event loop.

    Who guesses keys is stopped by address: after the allowed number of wrong ones nothing that is not known already is
    even looked at for a while.
    """

    def __init__(self, settings: Settings, callers: Callers) -> None:
        self._callers = callers
        self._answers_other_sites = not settings.is_loopback or settings.allow_anonymous
        self._requests = Buckets(settings.rate_limit_per_s, burst=2 * settings.rate_limit_per_s + 1)
        self._failures = Buckets(settings.failed_keys_per_minute / 60, burst=settings.failed_keys_per_minute)
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._open_until = 0.0

    async def admit(self, token: str | None, address: str, headers: Headers) -> Caller:
        """The caller behind a key or token.

        Raises:
            Unauthenticated: it is missing or wrong.
            Forbidden: nobody needs one here, and a page of another site asks.
            TooManyRequests: the caller asks too often, or too many wrong keys came from there.
        """
        caller = self._remembered(token) or await self._looked_up(token, address)
        if caller is ANONYMOUS and not self._answers_other_sites:
            refuse_other_sites(headers)
        name = caller.name if caller is not ANONYMOUS else address
        if wait_s := self._requests.wait_s(name):
            raise TooManyRequests("more requests a second than ECG_KA_RATE_LIMIT_PER_S allows one caller.", wait_s)
        self._requests.take(name)
        return caller

    def _remembered(self, token: str | None) -> Caller | None:
        if token is None:
            return ANONYMOUS if time.monotonic() < self._open_until else None
        caller, until = self._known.get(_fingerprint(token), (None, 0.0))
        return caller if time.monotonic() < until else None

    async def _looked_up(self, token: str | None, address: str) -> Caller:
        if wait_s := self._failures.wait_s(address):
            raise TooManyRequests("too many wrong keys came from this address.", wait_s)
        if await run_in_threadpool(self._callers.is_open):
            self._open_until = time.monotonic() + _REMEMBERED_S
            return ANONYMOUS
        caller = await run_in_threadpool(self._callers.find, token) if token else None
        if caller is None:
            if token:  # a request without one guesses nothing
                self._failures.take(address)
            raise Unauthenticated(
                "no valid key came; expected the header 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
            )
        self._remember(token or "", caller)
        return caller

    def _remember(self, token: str, caller: Caller) -> None:
        self._known[_fingerprint(token)] = (caller, time.monotonic() + _REMEMBERED_S)
        self._known.move_to_end(_fingerprint(token))
        if len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)


def requires(scope: Scope | None) -> Callable[..., Awaitable[None]]:
    """The dependency of routes for callers with this scope; None: for every caller with a valid key."""

    async def check(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        api_key: Annotated[str | None, Security(_API_KEY)],
    ) -> None:
        guard: Guard = request.state["guard"]
        token = bearer.credentials if bearer else api_key
        caller = await guard.admit(token or None, request.client.host if request.client else "", request.headers)
        if scope is not None and not caller.may(scope):
            raise Forbidden(f"the key has not the scope '{scope}'.")
        request.state["caller"] = caller

    return check


async def the_caller(request: Request) -> Caller:
    """Who calls; after :func:`requires`."""
    caller: Caller = request.state["caller"]
    return caller


async def the_act(request: Request) -> Act:
    """Who acts in which request, with the ``Idempotency-Key`` of this caller, method and route, hashed.

    Raises:
        InvalidRequest: the key is empty, too long, or holds more than visible ASCII.
    """
    caller: Caller = request.state["caller"]
    given = request.headers.getlist("idempotency-key")
    if not given:
        return Act(caller.name, request.state["request_id"])
    if len(given) > 1 or not re.fullmatch(REPLAY_KEY_PATTERN, given[0]):
        raise InvalidRequest("the Idempotency-Key is not valid; expected one of 1 to 255 visible ASCII characters.")
    scope = "\0".join((caller.name, request.method, request.scope["path"], given[0]))
    return Act(caller.name, request.state["request_id"], hashlib.sha256(scope.encode()).hexdigest())


TheCaller = Annotated[Caller, Depends(the_caller)]
TheAct = Annotated[Act, Depends(the_act)]


def _fingerprint(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
