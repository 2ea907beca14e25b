"""What the caller knows about a file, and how that meets what the file itself states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader
from ecg_ka.readers.limits import MAX_CHANNELS

_UNITS = {"NV": "nV", "UV": "uV", "MV": "mV", "V": "V", "MICROVOLT": "uV", "MILLIVOLT": "mV", "VOLT": "V"}
_MV_PER_UNIT = {"nV": 1e-6, "uV": 1e-3, "mV": 1.0, "V": 1e3}
_MICRO_SIGNS = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u039c": "u"})  # micro sign, Greek mu, its capital

_SAME_RATE = 1e-3
"""Two sampling rates that differ by less, relatively, are one: time columns are rounded."""


def known_unit(text: str) -> str | None:
    """``"nV"``, ``"uV"``, ``"mV"`` or ``"V"`` for a unit as files spell it, or None for anything else."""
    return _UNITS.get(text.strip().translate(_MICRO_SIGNS).upper().removesuffix("S"))


def mv_per(unit: str) -> float:
    """Millivolt in one ``unit``, which is a result of :func:`known_unit`."""
    return _MV_PER_UNIT[unit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The caller's word on sampling rate (Hz), unit and lead names; None where the file has to say it.

    Raises:
        InvalidSamplingRate: ``fs_hz`` is not a positive number.
        MalformedHeader: ``units`` is none of nV, uV, mV and V, or ``leads`` is not a list of names.
    """

    fs_hz: float | None
    units: str | None
    leads: tuple[str, ...] | None

    @classmethod
    def by_caller(cls, fs_hz: float | None, units: str | None, leads: Sequence[str] | None) -> Given:
        """Checked and normalised from the keywords of ``read``."""
        if fs_hz is not None and not (math.isfinite(fs_hz) and fs_hz > 0):
            raise InvalidSamplingRate(f"fs_hz={fs_hz:g} was given; expected a positive number of Hz")
        unit = None if units is None else known_unit(units)
        if units is not None and unit is None:
            raise MalformedHeader(f"units={units[:20]!r} was given; expected mV, uV or V")
        if leads is not None and (isinstance(leads, str) or not 0 < len(leads) <= MAX_CHANNELS):
            raise MalformedHeader(
                f"leads={leads!r:.40} was given; expected a list of up to {MAX_CHANNELS} names, one a channel"
            )
        return cls(fs_hz=fs_hz, units=unit, leads=None if leads is None else tuple(leads))

    def sampling_rate(self, stated_hz: float | None) -> float:
        """The rate in Hz, from the file when it states one.

        Raises:
            InvalidSamplingRate: neither states one, or the two differ.
        """
        if stated_hz is None:
            if self.fs_hz is None:
                raise InvalidSamplingRate("the file states no sampling rate and none is assumed. Pass fs_hz.")
            return self.fs_hz
        if self.fs_hz is not None and not math.isclose(self.fs_hz, stated_hz, rel_tol=_SAME_RATE):
            raise InvalidSamplingRate(
                f"the file states {stated_hz:g} Hz and fs_hz={self.fs_hz:g} was given. "
                "Leave fs_hz out, or mend the file."
            )
        return stated_hz

    def unit(self, stated: str | None) -> str | None:
        """The unit, from the file when it states one (as :func:`known_unit` names it); None when nobody does.

        Raises:
            MalformedHeader: the two differ.
        """
        if stated is not None and self.units not in (None, stated):
            raise MalformedHeader(
                f"the file states {stated} and units={self.units} was given. Leave units out, or mend the file."
            )
        return stated or self.units

    def names(self, stated: Sequence[str]) -> tuple[str, ...]:
        """The lead names that the file states.

        Raises:
            MalformedHeader: the caller gave others.
        """
        if self.leads is not None and self.leads != tuple(stated):
            raise MalformedHeader(
                f"the file names {list(stated)!r:.120} and leads={list(self.leads)!r:.120} was given. "
                "Leave leads out: names in a file are used as they stand."
            )
        return tuple(stated)
