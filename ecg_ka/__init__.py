"""ecg_ka: serum potassium estimated from a 12-lead ECG file, with what stands behind the number.

Research use only, not a medical device.
"""

from ecg_ka.bundle import SHIPPED
from ecg_ka.errors import (
    BundleError,
    DemoExport,
    EcgError,
    ExportError,
    MissingDependency,
    NoWorkingSpace,
    RecordTooLarge,
    UnknownFormat,
    UnreadableRecord,
    UnusableRecord,
)
from ecg_ka.estimate import (
    BANDS_SENTENCE,
    DISCLAIMER,
    SEVERE_SENTENCE,
    Band,
    Category,
    Estimate,
    PatientOffset,
    SevereBand,
)
from ecg_ka.estimator import Estimator, choose_window, prepare
from ecg_ka.explanation import Explanation, Wave, WaveEffect
from ecg_ka.exporters import PREFETCH_KEY, SERVICE_ID, Answered, Identity, Output, cds_cards, cds_services, exported
from ecg_ka.flags import Flag
from ecg_ka.preprocess import SignalSpec
from ecg_ka.quality import SignalQuality, assess
from ecg_ka.readers import read
from ecg_ka.record import LEADS, EcgRecord
from ecg_ka.references import References, load_references
from ecg_ka.wave_effects import explain

__all__ = [
    "BANDS_SENTENCE",
    "DISCLAIMER",
    "LEADS",
    "PREFETCH_KEY",
    "SERVICE_ID",
    "SEVERE_SENTENCE",
    "SHIPPED",
    "Answered",
    "Band",
    "BundleError",
    "Category",
    "DemoExport",
    "EcgError",
    "EcgRecord",
    "Estimate",
    "Estimator",
    "Explanation",
    "ExportError",
    "Flag",
    "Identity",
    "MissingDependency",
    "NoWorkingSpace",
    "Output",
    "PatientOffset",
    "RecordTooLarge",
    "References",
    "SevereBand",
    "SignalQuality",
    "SignalSpec",
    "UnknownFormat",
    "UnreadableRecord",
    "UnusableRecord",
    "Wave",
    "WaveEffect",
    "assess",
    "cds_cards",
    "cds_services",
    "choose_window",
    "explain",
    "exported",
    "load_references",
    "prepare",
    "read",
]
__version__ = "0.1.0"
