"""One ECG as the program sees it: named leads in millivolt, and where they came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import (
    ImpossibleSamples,
    InvalidSamplingRate,
    MalformedHeader,
    MissingLeads,
    NonFiniteSamples,
    NoSamples,
)

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The 12 standard leads in the order of every record."""

INDEPENDENT_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The 8 leads from which the other 4 follow (Einthoven, Goldberger)."""

DERIVED_FROM_I_II = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}
"""The other 4 leads as (a, b) in a x I + b x II."""

FS_RANGE_HZ = (50.0, 20_000.0)
"""Sampling rates outside this range are refused: below it no T wave survives, above it no cart writes."""

MOST_MV = 1e10
"""Larger samples are refused: no stored number of 32 bits makes them, and squares of single precision overflow."""

_CANONICAL = {lead.upper(): lead for lead in LEADS} | {f"C{i}": f"V{i}" for i in range(1, 7)}
_CANONICAL |= {f"D{lead}": lead for lead in ("I", "II", "III")}  # "derivación", "derivação", "dérivation"


def canonical_lead(name: str) -> str | None:
    """The standard name of a lead as files spell it (``"AVR"``, ``"Lead II"``, ``"v1"``, ``"C1"``,
    ``"DII"``), or None for anything that is not one of the 12 standard leads."""
    key = name.strip().upper()
    if key in _CANONICAL:
        return _CANONICAL[key]
    for prefix in ("MDC_ECG_LEAD_", "ECG LEAD ", "LEAD ", "LEAD-", "LEAD_", "ECG ", "EKG "):
        key = key.removeprefix(prefix)
    return _CANONICAL.get(key.strip())  # "-aVR" is aVR upside down, "I-II" a difference: neither is a lead


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a record came from and what was done to it on the way.

    ``notes`` tells in words what was assumed or converted. ``units_in`` is the unit found in the file (``"mV"``,
    ``"uV"``, ``"V"``, ``"ADC units"``). No patient identifier is kept; ``age_years`` is used for a flag only.
    """

    format: str
    sha256: str
    units_in: str
    units_assumed: bool = False
    device: str | None = None
    acquired_at: datetime | None = None
    age_years: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EcgRecord:
    """An ECG: ``signal_mv`` (leads, n) float32 in mV at ``fs_hz``, rows named by ``leads`` in standard order.

    Only standard leads are kept. Build one with :meth:`from_leads`, which orders and derives leads.

    Raises:
        NoSamples, NonFiniteSamples, ImpossibleSamples, InvalidSamplingRate, MissingLeads, MalformedHeader: on the value
            concerned.
    """

    signal_mv: NDArray[np.float32]
    leads: tuple[str, ...]
    fs_hz: float
    source: Source
    leads_derived: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        _check_sampling_rate(self.fs_hz)
        if self.signal_mv.shape[:1] != (len(self.leads),) or self.signal_mv.ndim != 2:
            raise MalformedHeader(
                f"signal of shape {self.signal_mv.shape} for {len(self.leads)} lead names; expected (leads, samples)"
            )
        if self.signal_mv.shape[1] == 0:
            raise NoSamples("the signal holds 0 samples; expected at least 5 s of ECG. Check the export.")
        _check_samples(self.leads, self.signal_mv)
        self.signal_mv.setflags(write=False)

    @classmethod
    def from_leads(
        cls, signal_mv: NDArray[np.floating], names: Sequence[str], *, fs_hz: float, source: Source
    ) -> EcgRecord:
        """A record from rows (leads, n) in mV, named as the file names them.

        Rows are put in standard order, rows that are not standard leads are left out with a note, and III, aVR, aVL
        and aVF are derived when I and II are there (Einthoven 1912, Goldberger 1942).
        """
        rows = {}
        notes = list(source.notes)
        for name, row in zip(names, signal_mv, strict=True):
            lead = canonical_lead(name)
            if lead is None:
                notes.append(f"channel {name.strip()[:40]!r} is not a standard lead and was left out")
            elif lead in rows:
                raise MalformedHeader(f"lead {lead} stands twice in the file; expected each lead once")
            else:
                rows[lead] = np.asarray(row, dtype=np.float32)
        if not rows:
            found = ", ".join(repr(name.strip()[:20]) for name in names[:15]) or "none"
            raise MissingLeads(f"no standard lead among the channels ({found}); expected names such as I, II, V1")
        derived = _derive(rows)
        leads = tuple(lead for lead in LEADS if lead in rows)
        return cls(
            signal_mv=np.stack([rows[lead] for lead in leads]),
            leads=leads,
            fs_hz=float(fs_hz),
            source=replace(source, notes=tuple(notes)),
            leads_derived=derived,
        )

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return int(self.signal_mv.shape[1]) / self.fs_hz

    @property
    def leads_missing(self) -> tuple[str, ...]:
        """The standard leads that are neither in the file nor derivable."""
        return tuple(lead for lead in LEADS if lead not in self.leads)

    def crop(self, start: int, stop: int) -> EcgRecord:
        """The same record from sample ``start`` up to, not including, ``stop``."""
        if (start, stop) == (0, self.signal_mv.shape[1]):
            return self
        return replace(self, signal_mv=self.signal_mv[:, start:stop])

    def lead(self, name: str) -> NDArray[np.float32]:
        """The samples (n,) of one lead in mV.

        Raises:
            MissingLeads: when the record has no such lead.
        """
        if name not in self.leads:
            raise MissingLeads(f"no lead {name!r}; this record has {', '.join(self.leads)}")
        row: NDArray[np.float32] = self.signal_mv[self.leads.index(name)]
        return row


def _check_samples(leads: Sequence[str], signal_mv: NDArray[np.float32]) -> None:
    largest = {lead: float(np.abs(row).max()) for lead, row in zip(leads, signal_mv, strict=True)}  # or NaN
    bad = ", ".join(lead for lead, mv in largest.items() if not math.isfinite(mv))
    if bad:
        raise NonFiniteSamples(f"NaN or infinity in lead {bad}; expected finite samples. Export without gaps.")
    bad = ", ".join(f"{lead} ({mv:.3g} mV)" for lead, mv in largest.items() if mv > MOST_MV)
    if bad:
        raise ImpossibleSamples(
            f"samples of more than {MOST_MV:g} mV in lead {bad}; expected those of an ECG. Check unit and gain of the "
            "file, and whether such a value marks a gap."
        )


def _check_sampling_rate(fs_hz: float) -> None:
    low, high = FS_RANGE_HZ
    if not low <= fs_hz <= high:  # also catches NaN
        raise InvalidSamplingRate(f"sampling rate {fs_hz:g} Hz; expected {low:g} to {high:g} Hz. Check the file.")


def _derive(rows: dict[str, NDArray[np.float32]]) -> tuple[str, ...]:
    if "I" not in rows or "II" not in rows:
        return ()
    derived = tuple(lead for lead in DERIVED_FROM_I_II if lead not in rows)
    for lead in derived:
        a, b = DERIVED_FROM_I_II[lead]
        rows[lead] = np.float32(a) * rows["I"] + np.float32(b) * rows["II"]
    return derived
