"""Whole archives: every ECG below some folders to a row of a table, by the processes of a host or a Ray cluster."""

from ecg_ka.scoring.archive_run import score_archive, would_overwrite
from ecg_ka.scoring.job import Job, Totals
from ecg_ka.scoring.ray_run import score_on_ray
from ecg_ka.scoring.tables import TableFormat, table_format

__all__ = ["Job", "TableFormat", "Totals", "score_archive", "score_on_ray", "table_format", "would_overwrite"]
