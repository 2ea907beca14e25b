"""Number tables (CSV, JSON, .mat, .npy and .npz) to a record: which way round they lie, which leads, which unit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import MalformedHeader, MissingLeads
from ecg_ka.readers.given import mv_per
from ecg_ka.readers.limits import check_channels, check_duration
from ecg_ka.record import DERIVED_FROM_I_II, INDEPENDENT_LEADS, LEADS, EcgRecord, Source

_LARGEST_RESIDUAL = 0.28
"""Of a limb lead against what follows from I and II, as a part of the larger of these two (both root mean square).
The worst of 231 real ECGs has 0.26; with two of its limb leads exchanged the most alike of them has 0.30."""

_ASSUMED_ORDERS = {12: LEADS, 8: INDEPENDENT_LEADS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A table (leads, n) with the name of each row, and what was assumed to name them."""

    rows: NDArray[np.floating | np.integer]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def lay_out(table: NDArray[np.floating | np.integer], names: tuple[str, ...] | None) -> Layout:
    """Rows and their leads, for a table (leads, n) or (n, leads).

    The side as long as ``names`` is the lead side; without names it is the side of 12 (standard order: I, II, III,
    aVR, aVL, aVF, V1-V6) or else of 8 (I, II, V1-V6). Where both sides fit, rows are leads. A single row needs a name.
    The order of 12 unnamed leads is checked: the limb leads have to follow from I and II.

    Raises:
        MissingLeads: no side fits.
        MalformedHeader: 12 unnamed leads that are in another order.
        RecordTooLarge: more channels than any ECG has.
    """
    if table.ndim == 1:
        table = table[np.newaxis]
    if table.ndim != 2:
        raise MissingLeads(f"a table of shape {table.shape}; expected (leads, samples)")
    for n_leads in _ASSUMED_ORDERS if names is None else (len(names),):
        if n_leads in table.shape:
            rows = table if table.shape[0] == n_leads else table.T
            check_channels(n_leads)
            if names is not None:
                return Layout(rows=rows, names=names)
            order = _ASSUMED_ORDERS[n_leads]
            if n_leads == len(LEADS):
                _check_standard_order(rows)
            return Layout(rows=rows, names=order, notes=(f"lead names were assumed: {', '.join(order)}",))
    expected = "12 or 8 leads, or lead names (pass leads)" if names is None else f"{len(names)} leads, as named"
    raise MissingLeads(f"a table of {table.shape[0]} x {table.shape[1]} numbers; expected {expected}")


def _check_standard_order(rows: NDArray[np.floating | np.integer]) -> None:
    """Refuse rows (12, n) whose rows 3 to 6 are not the III, aVR, aVL and aVF of rows 1 and 2."""
    limb = np.array(rows[:6], dtype=np.float64)
    limb -= np.median(limb, axis=1, keepdims=True)
    one, two = limb[:2]
    residuals = [_rms(limb[LEADS.index(lead)] - a * one - b * two) for lead, (a, b) in DERIVED_FROM_I_II.items()]
    if max(residuals) > _LARGEST_RESIDUAL * max(_rms(one), _rms(two)):  # false with NaN, which the record refuses
        raise MalformedHeader(
            "12 unnamed leads that are not in the order I, II, III, aVR, aVL, aVF, V1-V6: III = II - I or aVR = "
            "-(I + II)/2 or their like does not hold. Pass leads, one name a channel."
        )


def _rms(row: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(row**2)))


def to_record(layout: Layout, *, fs_hz: float, unit: str | None, source: Source) -> EcgRecord:
    """The record of a table whose samples are in ``unit``, or in assumed mV when nobody stated a unit.

    Raises:
        MalformedHeader: no unit is stated and all samples are whole numbers, which no ECG in mV is.
        UnusableRecord: as :class:`EcgRecord`.
    """
    check_duration(layout.rows.shape[1], fs_hz)
    notes = (*source.notes, *layout.notes)
    if unit is None:
        _refuse_whole_numbers(layout.rows)
        notes = (*notes, "the file states no unit: mV was assumed")
    signal_mv = np.empty(layout.rows.shape, dtype=np.float32)
    for scaled, row in zip(signal_mv, layout.rows, strict=True):  # by rows: no large float64 copy
        scaled[:] = row * np.float64(1.0 if unit is None else mv_per(unit))
    return EcgRecord.from_leads(
        signal_mv,
        layout.names,
        fs_hz=fs_hz,
        source=replace(source, units_in=unit or "not stated", units_assumed=unit is None, notes=notes),
    )


def _refuse_whole_numbers(rows: NDArray[np.floating | np.integer]) -> None:
    if rows.any() and all(np.array_equal(row, np.rint(row)) for row in rows):
        raise MalformedHeader("whole numbers without a unit; these are not mV. Pass units: mV, uV or V.")
