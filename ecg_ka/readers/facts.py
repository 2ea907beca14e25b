"""Rate, unit and lead names that variables beside a table state, known by their names (.mat, .npz)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader
from ecg_ka.readers.given import Given, known_unit
from ecg_ka.readers.limits import MAX_CHANNELS

_T = TypeVar("_T")
RATE, _UNIT, _NAMES = "sampling rate", "unit", "lead names"
_ROLES = {  # of a variable, by its name in small letters without other signs
    RATE: re.compile(r"fs|fsamp(le)?|sr|srate|s?freq(uency)?|samp(l(e|ing))?(rate|freq(uency)?)"),
    _UNIT: re.compile(r"(sig|leads?|channels?|ch|phys(ical)?|voltage|amplitude|adc|samples?|data|y)?units?"),
    _NAMES: re.compile(
        r"leads?|channels?|chans?|electrodes?|labels|names|"
        r"(leads?|channels?|chans?|chs?|sig|electrodes?|columns?)(names?|labels?|order)"
    ),
}

Value: TypeAlias = NDArray[np.floating | np.integer] | tuple[str, ...] | None
"""Of a variable: plain numbers, texts, or None for what is neither or was not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the variables beside a table state; None where none of them does."""

    fs_hz: float | None
    unit: str | None
    names: tuple[str, ...] | None

    @classmethod
    def stated(cls, variables: Iterable[tuple[str, Value]]) -> Facts:
        """The facts in ``variables``, pairs of name and value; those without a :func:`role` are passed over.

        Raises:
            InvalidSamplingRate: a rate that is not one positive number, or two rates.
            MalformedHeader: a value that is not what its name says, an unknown unit, two units or two lists of names.
        """
        variables = list(variables)
        rates = {_rate(name, value) for name, value in variables if role(name) == RATE}
        units = {_unit(name, text) for name, value in variables if role(name) == _UNIT for text in _texts(name, value)}
        lists = {_texts(name, value) for name, value in variables if role(name) == _NAMES}
        if len(rates) > 1:
            raise InvalidSamplingRate(f"the file states sampling rates of {sorted(rates)!s:.60} Hz; expected one")
        if len(units) > 1 or len(lists) > 1:
            more = sorted(units) if len(units) > 1 else sorted(lists)
            raise MalformedHeader(f"the file states differing units or lead names: {more!s:.120}. Mend the file.")
        return cls(fs_hz=_only(rates), unit=_only(units), names=_only(lists))

    def leads(self, given: Given, unread: Sequence[str]) -> tuple[str, ...] | None:
        """The lead names of file or caller; None where nobody names them and no order is in doubt.

        Raises:
            MalformedHeader: file and caller differ, or nobody names the leads and variables ``unread`` may do so.
        """
        if self.names is not None:
            return given.names(self.names)
        if given.leads is None and unread:
            raise MalformedHeader(
                f"nothing names the leads, and text that was not read stands beside the table ({unread[0][:40]!r}). "
                "Pass leads, one name a channel."
            )
        return given.leads


def role(name: str) -> str | None:
    """``"sampling rate"``, ``"unit"`` or ``"lead names"`` for a variable whose name says that it holds that."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("ecg").removeprefix("signal").removesuffix("hz")
    return next((role_name for role_name, names in _ROLES.items() if names.fullmatch(plain)), None)


def _only(values: set[_T]) -> _T | None:
    return values.pop() if values else None


def _rate(name: str, value: Value) -> float:
    if not isinstance(value, np.ndarray) or value.size == 0:
        raise MalformedHeader(f"{name[:40]!r} holds no number that can be read; expected the sampling rate in Hz")
    fs_hz = float(value.flat[0])
    if not (math.isfinite(fs_hz) and fs_hz > 0 and (value == value.flat[0]).all()):
        raise InvalidSamplingRate(f"{name[:40]!r} is {value.flat[:3]!s:.60}; expected one positive number of Hz")
    return fs_hz


def _unit(name: str, text: str) -> str:
    unit = known_unit(text)
    if unit is None:
        raise MalformedHeader(f"{name[:40]!r} is {text[:20]!r}; expected mV, uV or V. Mend the file.")
    return unit


def _texts(name: str, value: Value) -> tuple[str, ...]:
    if not isinstance(value, tuple) or not 0 < len(value) <= MAX_CHANNELS:
        raise MalformedHeader(
            f"{name[:40]!r} holds no text that can be read; expected the {role(name)} as plain text. "
            "Save it so, or leave it out."
        )
    return tuple(text.strip(" \0") for text in value)
