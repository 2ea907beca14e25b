"""What an operator can set, by environment variables that begin with ``ECG_KA_``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

import ecg_ka

PREFIX = "ECG_KA_"


class SettingsError(Exception):
    """The environment holds a setting that is unknown or has no valid value."""


class Settings(BaseSettings):
    """Every setting of the service; frozen, and read once at the start by :func:`from_environment`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    host: Annotated[str, Field(description="address to listen on; 0.0.0.0 for every interface")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="TCP port to listen on")] = 8000
    bundle: Annotated[Path, Field(description="folder of the model bundle")] = ecg_ka.SHIPPED
    max_upload_mb: Annotated[float, Field(gt=0, le=1000, description="largest request body, in MB (10^6 bytes)")] = 20.0
    upload_timeout_s: Annotated[float, Field(gt=0, le=3600, description="time for a body to arrive, in s")] = 30.0
    threads: Annotated[int, Field(ge=1, le=64, description="threads of the network for one estimate")] = 1
    max_concurrent: Annotated[
        int, Field(ge=1, le=256, description="estimates under way at a time; one more is answered 503 with Retry-After")
    ] = 8

    @property
    def max_upload_bytes(self) -> int:
        """The largest request body in bytes."""
        return round(self.max_upload_mb * 1_000_000)


def from_environment() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: a variable that begins with ``ECG_KA_`` is unknown, or a value is not valid.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; expected one of {', '.join(sorted(known))}")
    try:
        return Settings()
    except ValidationError as error:
        faults = (f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
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
