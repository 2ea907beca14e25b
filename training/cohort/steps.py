"""How many ECGs or values are left after each step of exclusion."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """What was asked for, and how many have it."""

    step: str
    left: int
