"""A record as CSV that the readers take."""

from __future__ import annotations

from ecg_ka.record import EcgRecord


def record_csv(record: EcgRecord) -> str:
    """A time column in seconds and one column a lead in mV, each number as short as it stays exact."""
    head = ",".join(["time_s", *(f"{lead}_mV" for lead in record.leads)])
    rows = (
        f"{i / record.fs_hz:.6f}," + ",".join(map(str, column))  # of float32: the shortest text that is this number
        for i, column in enumerate(record.signal_mv.T)
    )
    return "\n".join([head, *rows]) + "\n"
