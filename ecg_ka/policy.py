"""Which findings withhold the value of an answer, and which only stand beside it as warnings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ecg_ka.flags import Flag

SIGNAL_FLAGS = frozenset(
    {
        Flag.LOW_QUALITY,
        Flag.IMPLAUSIBLE_AMPLITUDE,
        Flag.IMPLAUSIBLE_HEART_RATE,
        Flag.INCONSISTENT_LEADS,
        Flag.LEAD_ORDER_IMPLAUSIBLE,
    }
)
"""Flags about the recording, whoever's it is, that withhold the value where they are grave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A flag that is raised; ``reason`` says in words why no value should be given, None where it is but a warning."""

    flag: Flag
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The flags that withhold the value when their finding has a reason; all others only warn.

    ``novelty_p`` is the p-value of the novelty up to which OUT_OF_DISTRIBUTION is raised: this share of the ECGs that
    are like the calibration ECGs.
    """

    withhold: frozenset[Flag]
    novelty_p: float

    def __post_init__(self) -> None:
        if not 0 < self.novelty_p < 1:
            raise ValueError(f"novelty_p is {self.novelty_p}; expected a probability such as 0.05")

    @classmethod
    def for_model(cls, *, is_simulated: bool) -> Policy:
        """A model that knows patients withholds what is unlike them. One that only knows simulated ECGs would withhold
        by how far the simulator is from the truth, so that it warns."""
        flags = SIGNAL_FLAGS | {Flag.AGE_OUT_OF_RANGE}
        return cls(withhold=flags if is_simulated else flags | {Flag.OUT_OF_DISTRIBUTION}, novelty_p=0.05)

    def reasons(self, findings: Iterable[Finding]) -> tuple[str, ...]:
        """Why the value is withheld; empty when it is given."""
        return tuple(f.reason for f in findings if f.reason is not None and f.flag in self.withhold)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON types."""
        return {"withhold": sorted(self.withhold), "novelty_p": self.novelty_p}

    @classmethod
    def from_dict(cls, saved: dict[str, object], *, is_simulated: bool) -> Policy:
        """What :meth:`to_dict` wrote.

        Raises:
            ValueError: an unknown flag, or OUT_OF_DISTRIBUTION on the wrong side for this kind of model.
        """
        if set(saved) != {"withhold", "novelty_p"} or not isinstance(saved["withhold"], list):
            raise ValueError(f"the policy is {saved}; expected withhold, a list of flags, and novelty_p")
        made = cls(
            withhold=frozenset(Flag(name) for name in saved["withhold"]), novelty_p=float(str(saved["novelty_p"]))
        )
        if (Flag.OUT_OF_DISTRIBUTION in made.withhold) == is_simulated:
            side = "only warn" if is_simulated else "withhold the value"
            raise ValueError(f"OUT_OF_DISTRIBUTION must {side} in a bundle with is_simulated {is_simulated}")
        return made
