"""How strongly potassium acts on the simulated ECG: two named sets of constants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Preset(StrEnum):
    """Which strength of potassium effects a simulated population has; :attr:`constants` holds the numbers.

    ``EVIDENCE`` has the slopes that population studies report. ``PUBLISHED`` has 1.5 times those slopes and fewer
    non-responders, so that discrimination resembles what papers report for real ECGs. Both are simulated: accuracy on
    either says nothing about patients.
    """

    EVIDENCE = "evidence"
    PUBLISHED = "published"

    @property
    def constants(self) -> PresetConstants:
        """The numbers behind the name."""
        return _CONSTANTS[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetConstants:
    """Distribution of a patient's sensitivity to potassium.

    A share of patients hardly responds; the others have a log-normal sensitivity of mean 1 and this sigma, and every
    component (T height, QRS width, ...) has its own log-normal factor of mean 1. All are multiplied by ``gain``.
    """

    gain: float
    non_responder_share: float
    sensitivity_sigma: float
    component_sigma: float


_CONSTANTS = {
    Preset.EVIDENCE: PresetConstants(gain=1.0, non_responder_share=0.25, sensitivity_sigma=0.50, component_sigma=0.45),
    Preset.PUBLISHED: PresetConstants(gain=1.5, non_responder_share=0.15, sensitivity_sigma=0.40, component_sigma=0.35),
}
