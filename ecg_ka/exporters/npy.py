"""A record as a NumPy array."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from ecg_ka.record import EcgRecord


def record_npy(record: EcgRecord) -> bytes:
    """The samples (leads, n) as float32 in mV; the file cannot say rate, unit and leads (:func:`facts`)."""
    stream = BytesIO()
    np.save(stream, record.signal_mv, allow_pickle=False)
    return stream.getvalue()


def facts(record: EcgRecord) -> dict[str, Any]:
    """What ``read`` has to be given with the array."""
    return {"fs_hz": record.fs_hz, "units": "mV", "leads": record.leads}
