"""Ways out of the program: an estimate and its record in the forms that others read."""

from ecg_ka.exporters.caption import estimate_caption, estimate_page
from ecg_ka.exporters.cds import PREFETCH_KEY, SERVICE_ID, cds_cards, cds_services
from ecg_ka.exporters.conversion import Target, converted, how_to_read
from ecg_ka.exporters.csv_text import record_csv
from ecg_ka.exporters.dicom import Patient
from ecg_ka.exporters.identity import Identity
from ecg_ka.exporters.outputs import Answered, Output, exported
from ecg_ka.exporters.page import PageCaption, page_svg
from ecg_ka.exporters.text import estimates_text, explanation_text, formats_text, model_text, quality_text

__all__ = [
    "PREFETCH_KEY",
    "SERVICE_ID",
    "Answered",
    "Identity",
    "Output",
    "PageCaption",
    "Patient",
    "Target",
    "cds_cards",
    "cds_services",
    "converted",
    "estimate_caption",
    "estimate_page",
    "estimates_text",
    "explanation_text",
    "exported",
    "formats_text",
    "how_to_read",
    "model_text",
    "page_svg",
    "quality_text",
    "record_csv",
]
