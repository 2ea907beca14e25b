"""Ways out of the program: an estimate and its record in the forms that others read."""

from ecg_ka.exporters.caption import estimate_caption, estimate_page
from ecg_ka.exporters.page import PageCaption, page_svg
from ecg_ka.exporters.text import estimates_text, model_text, quality_text, record_csv

__all__ = [
    "PageCaption",
    "estimate_caption",
    "estimate_page",
    "estimates_text",
    "model_text",
    "page_svg",
    "quality_text",
    "record_csv",
]
