"""Bearer tokens of an OIDC issuer: signature, issuer, audience and time are checked, scopes are read."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jwt

from service.settings import Settings, SettingsError
from service.storage.keys import Scope

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones alone: with HS256 a public key would do as the secret of a forger."""

_SUBJECT = re.compile(r"[ -~]{1,190}")
_SCOPE_PREFIX = "ecg-ka:"
_LEEWAY_S = 30
_REFETCH_S = 60.0  # an unknown key is looked for at the issuer at most so often, whoever names it
_FRESH_S = 3600.0
_FETCH_TIMEOUT_S = 5


class Tokens:
    """The tokens of one issuer; its public keys are read from a file or an https address, which the operator names and
    no request can change."""

    def __init__(self, issuer: str, audience: str, jwks: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._jwks = jwks
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -_FRESH_S

    @classmethod
    def from_settings(cls, settings: Settings) -> Tokens | None:
        """Of the issuer that the settings name, or None.

        Raises:
            SettingsError: the file of its keys cannot be read.
        """
        if not (settings.oidc_issuer and settings.oidc_audience and settings.oidc_jwks):
            return None
        tokens = cls(settings.oidc_issuer, settings.oidc_audience, settings.oidc_jwks)
        if "://" not in settings.oidc_jwks:
            try:
                tokens._fetch()
            except (OSError, jwt.PyJWTError, ValueError):
                raise SettingsError(f"ECG_KA_OIDC_JWKS, {settings.oidc_jwks}, holds no public keys (JWKS)") from None
        return tokens

    def verified(self, token: str) -> tuple[str, frozenset[Scope]] | None:
        """Subject and scopes of a token, or None when anything about it is wrong."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._key(kid) if isinstance(kid, str) else None
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError):
            return None
        subject = str(claims["sub"])
        return (f"oidc:{subject}", _scopes(claims)) if _SUBJECT.fullmatch(subject) else None

    def _key(self, kid: str) -> jwt.PyJWK | None:
        with self._lock:
            age_s = time.monotonic() - self._fetched_at
            if age_s > _FRESH_S or (kid not in self._keys and age_s > _REFETCH_S):
                self._fetched_at = time.monotonic()
                with suppress(OSError, jwt.PyJWTError, ValueError):  # it does not answer: what is known goes on to hold
                    self._fetch()
            return self._keys.get(kid)

    def _fetch(self) -> None:
        if "://" in self._jwks:
            client = jwt.PyJWKClient(self._jwks, cache_jwk_set=False, timeout=_FETCH_TIMEOUT_S)
            found = client.get_signing_keys()
        else:
            found = jwt.PyJWKSet.from_json(Path(self._jwks).read_text()).keys
        self._keys = {str(key.key_id): key for key in found if key.key_id is not None}
        self._fetched_at = time.monotonic()


def _scopes(claims: dict[str, Any]) -> frozenset[Scope]:
    """``ecg-ka:predict`` and the like, in the claim ``scope`` (words) or ``roles`` (a list)."""
    scope, roles = claims.get("scope"), claims.get("roles")
    words = scope.split() if isinstance(scope, str) else []
    words += [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []
    return frozenset(scope for scope in Scope if _SCOPE_PREFIX + scope in words)
