"""What an operator can set, by environment variables that begin with ``ECG_KA_``."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

import ecg_ka

PREFIX = "ECG_KA_"

# What Kubernetes puts into every pod for a Service named ecg-ka or ecg-ka-*, as NAME=VALUE. It is ignored and not
# refused: such a Service is not the operator's choice of a setting, and may appear while the service is running.
_SERVICE_LINK = re.compile(
    r"ECG_KA(_\w+)?_(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=\d+|PORT=(tcp|udp|sctp)://.*|"
    r"PORT_\d+_(TCP|UDP|SCTP)(=(tcp|udp|sctp)://.*|_PROTO=(tcp|udp|sctp)|_PORT=\d+|_ADDR=.*))"
)


class SettingsError(Exception):
    """The environment holds a setting that is unknown or has no valid value."""


class Settings(BaseModel):
    """Every setting of the service; frozen, and read once at the start by :func:`from_environment`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(description="address to listen on; 0.0.0.0 for every interface")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="TCP port to listen on")] = 8000
    bundle: Annotated[Path, Field(description="folder of the model bundle")] = ecg_ka.SHIPPED
    max_upload_mb: Annotated[float, Field(gt=0, le=1000, description="largest request body, in MB (10^6 bytes)")] = 20.0
    max_uploads: Annotated[
        int,
        Field(
            ge=1,
            le=1024,
            description="bodies that arrive or wait for their estimate at a time, each in memory; one more is answered "
            "503 with Retry-After",
        ),
    ] = 32
    upload_timeout_s: Annotated[float, Field(gt=0, le=3600, description="time for a body to arrive, in s")] = 30.0
    threads: Annotated[int, Field(ge=1, le=64, description="threads of the network for one estimate")] = 1
    max_concurrent: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="estimates under way at a time; one more waits its turn, 5 s at most. "
            "Each may take up to 0.4 GB of memory; 8 with the largest JSON took 1.1 GB",
        ),
    ] = 8
    max_connections: Annotated[
        int, Field(ge=1, le=65535, description="open connections; a request on one more is answered 503")
    ] = 256
    header_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="time for the headers of a request to arrive, in s")
    ] = 10.0
    keep_alive_s: Annotated[
        int, Field(ge=1, le=3600, description="time that a connection stays open between requests, in s")
    ] = 5
    data: Annotated[
        Path | None,
        Field(
            description="folder for what is kept: database, spool of batches, secret. Without it nothing is kept, and "
            "batches, feedback and /v1/monitoring are off"
        ),
    ] = None
    database: Annotated[
        SecretStr | None,
        Field(
            description="PostgreSQL instead of the SQLite file in ECG_KA_DATA: postgresql://user:password@host/name; "
            "ECG_KA_DATA is still needed, and shared by API and workers"
        ),
    ] = None
    retention_days: Annotated[
        int, Field(ge=1, le=36500, description="after so many days estimates, feedback and batches are deleted")
    ] = 365
    store_ecg: Annotated[
        bool, Field(description="keep each ECG beside its estimate, with whatever its file says about the patient")
    ] = False
    time_zone: Annotated[
        str, Field(description="zone of times that name none, as ECG carts write them, such as Europe/Berlin")
    ] = "UTC"
    batch_upload_mb: Annotated[
        float, Field(gt=0, le=2000, description="largest body of a batch, in MB; two of them are taken at a time")
    ] = 100.0
    max_batch_ecgs: Annotated[int, Field(ge=1, le=100_000, description="ECGs in one batch")] = 10_000
    lease_s: Annotated[
        float,
        Field(
            gt=0, le=3600, description="a worker that is silent for so long is taken for dead, its ECG is done again"
        ),
    ] = 60.0
    allow_anonymous: Annotated[
        bool, Field(description="1: without any key, answer also on addresses that others can reach")
    ] = False
    keys_file: Annotated[
        Path | None, Field(description="file of keys, one JSON line each, as python -m service keys line prints them")
    ] = None
    rate_limit_per_s: Annotated[
        float, Field(gt=0, le=100_000, description="requests a second of one caller; more are answered 429")
    ] = 200.0
    failed_keys_per_minute: Annotated[
        int, Field(ge=1, le=1000, description="wrong keys a minute from one address; more are answered 429")
    ] = 10
    trusted_proxies: Annotated[
        str, Field(description="addresses of proxies whose X-Forwarded-For is believed, separated by commas")
    ] = ""
    oidc_issuer: Annotated[str | None, Field(description="issuer of OIDC bearer tokens, as in their claim iss")] = None
    oidc_audience: Annotated[str | None, Field(description="audience of OIDC bearer tokens, as in their claim aud")] = (
        None
    )
    oidc_jwks: Annotated[
        str | None, Field(description="public keys of the OIDC issuer (JWKS): a file or an https address")
    ] = None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("not a time zone; expected one such as Europe/Berlin") from None
        return name

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        oidc = (self.oidc_issuer, self.oidc_audience, self.oidc_jwks)
        if any(oidc) and not all(oidc):
            raise ValueError("oidc_issuer, oidc_audience and oidc_jwks belong together; expected all or none of them")
        if self.oidc_jwks and "://" in self.oidc_jwks and not self.oidc_jwks.startswith("https://"):
            raise ValueError("oidc_jwks is no https address; expected https://... or a file")
        if self.database is not None and self.data is None:
            raise ValueError("database without data; expected ECG_KA_DATA too, for the spool and the secret")
        return self

    allow_demo_exports: Annotated[
        bool,
        Field(
            description="let a bundle that was trained on simulations write FHIR, DICOM SR and HL7 v2, marked as test "
            "data; for tests of an interface"
        ),
    ] = False

    @property
    def max_upload_bytes(self) -> int:
        """The largest request body in bytes."""
        return round(self.max_upload_mb * 1_000_000)

    @property
    def batch_upload_bytes(self) -> int:
        """The largest body of a batch in bytes."""
        return round(self.batch_upload_mb * 1_000_000)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def from_environment() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: a variable that begins with ``ECG_KA_`` is unknown, or a value is not valid.
    """
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    given = {
        name: value
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIX) and not _SERVICE_LINK.fullmatch(f"{name}={value}")
    }
    unknown = sorted(name for name in given if name.upper() not in known)
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; expected one of {', '.join(sorted(known))}")
    try:
        return Settings.model_validate({known[name.upper()]: value for name, value in given.items() if value})
    except ValidationError as error:
        faults = (f"{PREFIX}{str((*fault['loc'], '*')[0]).upper()}: {fault['msg']}" for fault in error.errors())
        raise SettingsError(f"{'; '.join(faults)}. See python -m service --help") from None


def table() -> str:
    """The settings as lines of text: name, default, meaning."""
    rows = [
        (
            PREFIX + name.upper(),
            "the shipped demonstration" if field.default == ecg_ka.SHIPPED else str(field.default),
            field,
        )
        for name, field in Settings.model_fields.items()
    ]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"  {name:<{width}}  {field.description} (default: {default})" for name, default, field in rows)
