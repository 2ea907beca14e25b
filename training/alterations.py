"""Broken and strange ECGs, made from whole ones by a fixed seed: what novelty and signal checks are tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecg_ka.record import LEADS, EcgRecord

Alteration = Callable[[EcgRecord, np.random.Generator], EcgRecord]

_CHEST = tuple(lead for lead in LEADS if lead.startswith("V"))


def shuffled_leads(record: EcgRecord, rng: np.random.Generator) -> EcgRecord:
    """All leads in a random order under the old names."""
    return _with(record, record.signal_mv[rng.permutation(len(record.leads))])


def three_leads_swapped(record: EcgRecord, rng: np.random.Generator) -> EcgRecord:
    """Three leads, whichever, in a circle."""
    return _in_a_circle(record, rng.permutation(len(record.leads))[:3])


def three_chest_leads_swapped(record: EcgRecord, rng: np.random.Generator) -> EcgRecord:
    """Three chest leads in a circle, which Einthoven's law does not see."""
    return _in_a_circle(record, np.array([record.leads.index(str(lead)) for lead in rng.permutation(_CHEST)[:3]]))


def half_speed(record: EcgRecord, _: np.random.Generator) -> EcgRecord:
    """The file states half its sampling rate."""
    return replace(record, fs_hz=record.fs_hz / 2)


def double_speed(record: EcgRecord, _: np.random.Generator) -> EcgRecord:
    """The file states twice its sampling rate; repeated, so that it lasts as long."""
    return replace(_with(record, np.tile(record.signal_mv, 2)), fs_hz=record.fs_hz * 2)


def impossible_rate(record: EcgRecord, _: np.random.Generator) -> EcgRecord:
    """The file states five times its sampling rate: some 400 beats a minute."""
    return replace(_with(record, np.tile(record.signal_mv, 5)), fs_hz=record.fs_hz * 5)


def noise(record: EcgRecord, rng: np.random.Generator) -> EcgRecord:
    """White noise of the size of each lead and nothing else."""
    size = record.signal_mv.std(axis=1, keepdims=True)
    return _with(record, size * rng.normal(size=record.signal_mv.shape))


def flat(record: EcgRecord, rng: np.random.Generator) -> EcgRecord:
    """Lines with the converter's last step at random."""
    return _with(record, 0.001 * rng.integers(0, 2, record.signal_mv.shape))


def disconnected(record: EcgRecord, rng: np.random.Generator) -> EcgRecord:
    """One electrode off: hum and noise in the leads that need it, a random one of I, II and V1-V6 among them."""
    lead = str(rng.permutation(["I", "II", *_CHEST])[0])
    off = [lead] if lead in _CHEST else [name for name in record.leads if name not in _CHEST]
    time_s = np.arange(record.signal_mv.shape[1]) / record.fs_hz
    hum = rng.uniform(0.01, 0.1) * np.sin(2 * np.pi * (50 * time_s + rng.random()))
    rows = record.signal_mv.copy()
    for name in off:
        drift = 0.02 * np.cumsum(rng.normal(size=time_s.size)) / np.sqrt(record.fs_hz)
        rows[record.leads.index(name)] = hum + drift + rng.normal(0, 0.02, time_s.size)
    return _with(record, rows)


def two_chest_leads_missing(record: EcgRecord, rng: np.random.Generator) -> EcgRecord:
    """Two chest leads at zero, as a model input has them: what the network was trained to do without."""
    rows = record.signal_mv.copy()
    for name in rng.permutation(_CHEST)[:2]:
        rows[record.leads.index(str(name))] = 0
    return _with(record, rows)


def clipped(record: EcgRecord, _: np.random.Generator) -> EcgRecord:
    """3 % of the samples of each lead at a rail."""
    middle = np.median(record.signal_mv, axis=1, keepdims=True)
    rail = np.quantile(np.abs(record.signal_mv - middle), 0.97, axis=1, keepdims=True)
    return _with(record, np.clip(record.signal_mv, middle - rail, middle + rail))


def unchanged(record: EcgRecord, _: np.random.Generator) -> EcgRecord:
    """As it is."""
    return record


def _in_a_circle(record: EcgRecord, rows: NDArray[np.int64]) -> EcgRecord:
    signal = record.signal_mv.copy()
    signal[rows] = record.signal_mv[np.roll(rows, 1)]
    return _with(record, signal)


def _with(record: EcgRecord, signal_mv: NDArray[np.floating]) -> EcgRecord:
    return replace(record, signal_mv=np.ascontiguousarray(signal_mv, dtype=np.float32))
