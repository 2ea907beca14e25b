"""What files say about device, time and age, as a record keeps it: nothing here identifies a patient."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from ecg_ka.readers.ages import YEARS, plausible_age

_UNITS = {
    **dict.fromkeys(("YEARS", "YEAR", "YR", "Y", "A"), "Y"),
    **dict.fromkeys(("MONTHS", "MONTH", "MO"), "M"),
    **dict.fromkeys(("WEEKS", "WEEK", "WK"), "W"),
    **dict.fromkeys(("DAYS", "DAY", "D"), "D"),
    **dict.fromkeys(("HOURS", "HOUR", "H"), "H"),
}


def plain(word: str) -> str:
    """The printable characters of a short word."""
    return "".join(character for character in word[:64] if character.isprintable()).strip()


def device(*words: str) -> str | None:
    """The words that say something, each once."""
    return " ".join(dict.fromkeys(plain(word) for word in words if word.strip("- "))) or None


def moment(text: str, patterns: Sequence[str]) -> datetime | None:
    """The time by the first of the ``strptime`` patterns that fits, or None.

    It has a zone only where the file states one: local time of an unknown place is kept as it stands. Fields without
    separators have all their digits: ``strptime`` alone reads 20201112 as 1:02 on 1 January.
    """
    for pattern in patterns:
        try:
            found = datetime.strptime(text, pattern)
        except ValueError:
            continue
        digits = pattern.removesuffix("%z").removesuffix(".%f")
        if "%Y%m" not in pattern or text.startswith(found.strftime(digits)):
            return found
    return None


def day(text: str, patterns: Sequence[str]) -> date | None:
    """The date by the first of the patterns that fits, or None."""
    found = moment(text, patterns)
    return None if found is None else found.date()


def age_years(number: str, unit: str, born: date | None = None, at: datetime | None = None) -> float | None:
    """The age as stated, by a unit in words or UCUM, or else the whole years between birth and recording."""
    if number.isascii() and number.isdecimal() and len(number) < 7 and unit.upper() in _UNITS:
        age = int(number) * YEARS[_UNITS[unit.upper()]]
    elif born is not None and at is not None:
        age = float(at.year - born.year - ((at.month, at.day) < (born.month, born.day)))
    else:
        return None
    return plausible_age(age)
