"""Which pages may make a browser ask a service that knows no key.

Without a key only this machine is answered, and a browser on it works for every page that it shows. A page elsewhere
can let its own name resolve to 127.0.0.1 (DNS rebinding), which shows in Host, or send a form here, which shows in
Origin.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from service.errors import Forbidden


def refuse_other_sites(headers: Headers) -> None:
    """Let pass what a program or our own page asks.

    Raises:
        Forbidden: the request is for a name that others can own, or comes from a page of another site.
    """
    host, origin = headers.get("host"), headers.get("origin")
    if host is not None and not _is_local(host):
        raise Forbidden("without a key only localhost is answered, by that name or its number. Make a key.")
    if origin is not None and _netloc(origin) != (host or "").lower():
        raise Forbidden("without a key no page of another site is answered. Make a key.")


def _is_local(host: str) -> bool:
    """Whether nobody outside can let this name resolve to here: a number, or a name without a dot."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(".localhost"))
    return True


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
