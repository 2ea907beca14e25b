"""Signal quality: is there a heartbeat in the record, and how clean is each lead?"""

from ecg_ka.quality.assessment import SignalQuality, assess
from ecg_ka.quality.beats import detect_r_peaks
from ecg_ka.quality.grades import Grade, LeadQuality, grade
from ecg_ka.quality.report import FullReport, full_report
from ecg_ka.quality.window import cleanest_window

__all__ = [
    "FullReport",
    "Grade",
    "LeadQuality",
    "SignalQuality",
    "assess",
    "cleanest_window",
    "detect_r_peaks",
    "full_report",
    "grade",
]
