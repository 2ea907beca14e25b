"""Ages as files state them: kept only where they are those of a living person."""

from __future__ import annotations

from datetime import date

AGE_NOT_UNDERSTOOD = "the age in the file was not understood and was left out; expected 0 to 120 years"
"""The note of a record whose file states an age that is no age."""

YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25, "H": 1 / 8766}
"""A year, month, week, day and hour in years."""

_OLDEST = 120.0


def plausible_age(years: float | None) -> float | None:
    """The age itself, or None where it is none."""
    return years if years is not None and 0 <= years < _OLDEST else None


def age_at(birth: date | None, day: date | None) -> float | None:
    """Years from birth to a day; None where either is unknown or the result is no age."""
    return None if birth is None or day is None else plausible_age((day - birth).days / 365.25)
