"""Leads as integer samples with a step and a unit, as most formats store them, to a record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import MalformedHeader, MissingLeads, TruncatedFile
from ecg_ka.readers.given import Given, known_unit, mv_per
from ecg_ka.readers.limits import check_channels, check_duration
from ecg_ka.record import EcgRecord, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLead:
    """One lead: ``origin + step * samples`` is the voltage in ``unit``, which is as the file spells it."""

    name: str
    samples: NDArray[np.integer]
    step: float
    unit: str
    origin: float = 0.0


def to_record(leads: Sequence[StoredLead], *, fs_hz: float, given: Given, source: Source) -> EcgRecord:
    """The record of leads that were recorded together; its unit and steps are noted.

    Raises:
        MissingLeads: there is none.
        MalformedHeader: one has no name, no known unit or no step, or they differ in length.
        UnreadableRecord, UnusableRecord: as :class:`EcgRecord`, or too large.
    """
    what = source.format
    if not leads:
        raise MissingLeads(f"{what}: no lead in it; expected 8 or 12. Export it with waveforms.")
    check_channels(len(leads))
    if not all(lead.name.strip() for lead in leads):
        raise MalformedHeader(f"{what}: a lead has no name; expected I, II, V1 and so on. Export it again.")
    lengths = {lead.samples.size for lead in leads}
    if len(lengths) > 1:
        raise MalformedHeader(
            f"{what}: leads of {sorted(lengths)!r:.60} samples; expected one length. Export it again."
        )
    check_duration(lengths.pop(), fs_hz)
    units = [_unit(lead, given, what) for lead in leads]
    scaled = [(lead.samples * lead.step + lead.origin) * mv_per(unit) for lead, unit in zip(leads, units, strict=True)]
    steps = sorted({f"{lead.step:g} {unit}" for lead, unit in zip(leads, units, strict=True)})
    notes = (*source.notes, f"samples are stored in steps of {', '.join(steps)}"[:120])
    return EcgRecord.from_leads(
        np.stack(scaled),
        given.names([lead.name for lead in leads]),
        fs_hz=fs_hz,
        source=replace(source, units_in=", ".join(sorted(set(units))), notes=notes),
    )


def check_count(place: str, held: int, stated: int | None) -> None:
    """Refuse ``held`` samples or leads where another number is ``stated``.

    Raises:
        TruncatedFile: there are fewer.
        MalformedHeader: there are more.
    """
    if stated is not None and held != stated:
        kind = TruncatedFile if held < stated else MalformedHeader
        raise kind(f"{place}: {held} in the file, which states {stated:.6g}. Send the whole file, as exported.")


def _unit(lead: StoredLead, given: Given, what: str) -> str:
    known = known_unit(lead.unit)
    if lead.unit and known is None:
        raise MalformedHeader(f"{what}: lead {lead.name} is in {lead.unit!r}; expected uV, mV or V")
    unit = given.unit(known)
    if unit is None:
        raise MalformedHeader(f"{what}: lead {lead.name} states no unit and none is assumed. Pass units.")
    if lead.step == 0 or not math.isfinite(lead.step * mv_per(unit)):
        raise MalformedHeader(f"{what}: lead {lead.name} has steps of {lead.step:g} {unit}; expected some microvolts")
    return unit
