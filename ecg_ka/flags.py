"""The flags an answer can carry, and one sentence for a clinician about each."""

from __future__ import annotations

from enum import StrEnum


class Flag(StrEnum):
    """Something that a reader of an estimate has to know; :attr:`sentence` says it in words."""

    DEMO_MODEL = "DEMO_MODEL"
    FEW_SHOT_REGION = "FEW_SHOT_REGION"
    INTERVAL_REACHES_FEW_SHOT = "INTERVAL_REACHES_FEW_SHOT"
    WIDE_INTERVAL = "WIDE_INTERVAL"
    ESTIMATE_BEYOND_CALIBRATED = "ESTIMATE_BEYOND_CALIBRATED"
    AGE_OUT_OF_RANGE = "AGE_OUT_OF_RANGE"
    LOW_QUALITY = "LOW_QUALITY"
    MISSING_LEADS = "MISSING_LEADS"
    IMPLAUSIBLE_AMPLITUDE = "IMPLAUSIBLE_AMPLITUDE"
    IMPLAUSIBLE_HEART_RATE = "IMPLAUSIBLE_HEART_RATE"
    INCONSISTENT_LEADS = "INCONSISTENT_LEADS"
    LEAD_REVERSAL_SUSPECTED = "LEAD_REVERSAL_SUSPECTED"
    LEAD_ORDER_IMPLAUSIBLE = "LEAD_ORDER_IMPLAUSIBLE"
    PACED_SUSPECTED = "PACED_SUSPECTED"
    WIDE_QRS = "WIDE_QRS"
    IRREGULAR_RHYTHM = "IRREGULAR_RHYTHM"
    OUT_OF_DISTRIBUTION = "OUT_OF_DISTRIBUTION"
    UNITS_ASSUMED = "UNITS_ASSUMED"
    RESAMPLED = "RESAMPLED"
    SHORT_RECORDING = "SHORT_RECORDING"
    WINDOW_CHOSEN = "WINDOW_CHOSEN"

    @property
    def sentence(self) -> str:
        """One sentence that explains the flag to a clinician."""
        return _SENTENCES[self]


_SENTENCES: dict[Flag, str] = {
    Flag.DEMO_MODEL: "The model was trained on simulated ECGs only: the number shows how the software works "
    "and says nothing about this patient.",
    Flag.FEW_SHOT_REGION: "The estimate lies where the training data hold few examples, so it is less certain than "
    "estimates near the middle.",
    Flag.INTERVAL_REACHES_FEW_SHOT: "At least 10 % of the predictive distribution lies where training data hold few "
    "examples.",
    Flag.WIDE_INTERVAL: "The interval is wider than for 95 % of the calibration ECGs.",
    Flag.ESTIMATE_BEYOND_CALIBRATED: "The estimate is more extreme than the calibrated distribution "
    "supports: it differs from its median by more than 0.5 mmol/L.",
    Flag.AGE_OUT_OF_RANGE: "No age of 18 years or more is known for certain; the model is meant for adults.",
    Flag.LOW_QUALITY: "The signal quality is low in at least one lead of the recording, be it one that the model reads "
    "or another.",
    Flag.MISSING_LEADS: "At least one lead that the model uses is missing and was left blank.",
    Flag.IMPLAUSIBLE_AMPLITUDE: "The amplitude is implausible for a surface ECG: gain or unit in the file may be "
    "wrong.",
    Flag.IMPLAUSIBLE_HEART_RATE: "The beats found come slower than 20 or faster than 300 a minute: the sampling rate "
    "in the file may be wrong.",
    Flag.INCONSISTENT_LEADS: "At least one of III, aVR, aVL and aVF is not what leads I and II make it: a lead is "
    "disturbed or carries a wrong name.",
    Flag.LEAD_REVERSAL_SUSPECTED: "Limb cables may be interchanged: check the electrodes; pacing, left bundle branch "
    "block or a heart on the right can look alike.",
    Flag.LEAD_ORDER_IMPLAUSIBLE: "Leads seem to stand under each other's names: check the chest cables and the order "
    "of the leads in the file.",
    Flag.PACED_SUSPECTED: "Narrow spikes before the beats suggest a pacemaker, whose QRS and T waves tell less about "
    "potassium.",
    Flag.WIDE_QRS: "The QRS complex is about 120 ms or wider, as in bundle branch block, pacing or severe "
    "hyperkalaemia.",
    Flag.IRREGULAR_RHYTHM: "The beats follow each other irregularly, as in atrial fibrillation.",
    Flag.OUT_OF_DISTRIBUTION: "The ECG is unlike at least 95 % of those that the model was calibrated on, so that what "
    "the model learned may not hold for it.",
    Flag.UNITS_ASSUMED: "The file does not state the unit of its samples; millivolt was assumed.",
    Flag.RESAMPLED: "The sampling rate was converted to the rate of the model.",
    Flag.SHORT_RECORDING: "The recording is shorter than 10 s; the rest of the model's window was left blank.",
    Flag.WINDOW_CHOSEN: "The recording is longer than 10 s; the cleanest 10 s were used.",
}
