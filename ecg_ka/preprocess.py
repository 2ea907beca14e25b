"""From a record to the tensor of a network: leads by name, band-pass and resampling in one FFT pass, fixed length.

No per-record scaling: the height of the T wave is the signal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import FlatSignal, MissingLeads, TooShort
from ecg_ka.flags import Flag
from ecg_ka.record import INDEPENDENT_LEADS, EcgRecord

LSB_MV = 0.001
"""Grid of the model input: 1 microvolt, so that a cohort stores it as int16 without loss."""

_FLAT_MV = 0.005  # less peak-to-peak than one step of the coarsest carts: nothing is connected
_EDGE_S = 1.0  # mirrored on both sides, so that the filter has something to stand on


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSpec:
    """What a network is fed with; saved in its bundle, so that training and serving cannot drift apart.

    The band-pass is the squared magnitude of Butterworth filters (zero phase, as a forward and backward pass gives):
    order 2 at ``high_pass_hz``, order 4 at ``low_pass_hz``.
    """

    leads: tuple[str, ...] = INDEPENDENT_LEADS
    required_leads: tuple[str, ...] = ("I", "II")
    min_chest_leads: int = 4
    fs_hz: float = 250.0
    duration_s: float = 10.0
    min_duration_s: float = 5.0
    high_pass_hz: float = 0.5
    low_pass_hz: float = 40.0

    def __post_init__(self) -> None:
        for name in ("fs_hz", "duration_s", "min_duration_s", "high_pass_hz", "low_pass_hz"):
            object.__setattr__(self, name, float(getattr(self, name)))  # 250 and 250.0 have one hash

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> SignalSpec:
        """From the fields in plain JSON types; unknown fields raise TypeError."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
        return cls(**plain)

    @property
    def n_samples(self) -> int:
        """Length of the network's input in samples."""
        return round(self.duration_s * self.fs_hz)

    @property
    def sha256(self) -> str:
        """Identity of the preprocessing: SHA-256 of its fields as sorted JSON."""
        return _sha256(self)


@lru_cache(maxsize=16)
def _sha256(spec: SignalSpec) -> str:
    """Kept, because every answer tells it."""
    return hashlib.sha256(json.dumps(asdict(spec), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelInput:
    """``signal_mv`` (leads, T) float32 on a grid of 1 microvolt, zero in leads that are missing (``lead_mask`` False)
    and after the end of a short recording."""

    signal_mv: NDArray[np.float32]
    lead_mask: NDArray[np.bool_]
    flags: frozenset[Flag]


def to_model_input(record: EcgRecord, spec: SignalSpec) -> ModelInput:
    """The tensor that the network sees, from the first ``spec.duration_s`` seconds of a record.

    Raises:
        TooShort: less than ``spec.min_duration_s``.
        MissingLeads: I or II, or more chest leads than allowed, are absent or flat.
        FlatSignal: none of the leads carries activity.
    """
    n_in = min(record.signal_mv.shape[1], round(spec.duration_s * record.fs_hz))
    if n_in < round(spec.min_duration_s * record.fs_hz):
        raise TooShort(
            f"the recording lasts {record.duration_s:.3f} s; expected at least {spec.min_duration_s:g} s, "
            f"better {spec.duration_s:g} s. Send the whole recording."
        )
    there = [lead for lead in spec.leads if lead in record.leads]
    window_mv = record.signal_mv[[record.leads.index(lead) for lead in there], :n_in]
    moves = _moves(window_mv)
    live = dict(zip(there, moves.tolist(), strict=True))
    mask = np.array([live.get(lead, False) for lead in spec.leads])
    if not mask.all():
        _refuse_too_few(record.signal_mv[:, :n_in], mask, spec)
        window_mv = window_mv[moves]
    filtered = filter_and_resample(window_mv, record.fs_hz, spec)
    return ModelInput(
        signal_mv=_with_blanks(filtered, mask, spec), lead_mask=mask, flags=_flags(record, spec, mask, n_in)
    )


def filter_and_resample(signal_mv: NDArray[np.float32], fs_hz: float, spec: SignalSpec) -> NDArray[np.float32]:
    """Band-pass and resample (leads, n) at ``fs_hz`` to (leads, m) at ``spec.fs_hz``: one forward real FFT, one mask,
    one shorter inverse; the result is rounded to :data:`LSB_MV`.

    By numpy's FFT with a scale, as with a scale of 1 it goes through long double and takes five times as long. It is as
    fast as scipy's, whose import would take a third of the start of a command.
    """
    n_in = signal_mv.shape[1]
    edge = min(round(_EDGE_S * fs_hz), n_in - 1)
    padded = _mirrored(signal_mv, edge)
    n_out = round(n_in / fs_hz * spec.fs_hz)
    m = round(padded.shape[1] / fs_hz * spec.fs_hz)
    spectrum = np.fft.rfft(padded, axis=1, norm="forward")
    n_bins = min(spectrum.shape[1], m // 2 + 1)
    parts = spectrum.view(np.float32)[:, : 2 * n_bins]  # real and imaginary by turns: numpy would make the mask complex
    parts *= _band_pass(n_bins, padded.shape[1] / fs_hz, m, spec)
    first = round(edge / fs_hz * spec.fs_hz)
    resampled = np.fft.irfft(spectrum[:, :n_bins], n=m, axis=1)[:, first : first + n_out]
    steps = np.asarray(resampled * np.float32(1 / LSB_MV), dtype=np.float32)
    np.clip(steps, -32767, 32767, out=steps)
    np.rint(steps, out=steps)
    steps *= np.float32(LSB_MV)
    return steps


def _mirrored(signal_mv: NDArray[np.float32], edge: int) -> NDArray[np.float32]:
    """What ``np.pad(..., mode="reflect", reflect_type="odd")`` gives along time, in half its time."""
    leads, n_in = signal_mv.shape
    padded = np.empty((leads, n_in + 2 * edge), dtype=np.float32)
    padded[:, edge : edge + n_in] = signal_mv
    np.subtract(2 * signal_mv[:, :1], signal_mv[:, edge:0:-1], out=padded[:, :edge])
    before_last = signal_mv[:, n_in - 1 - edge : n_in - 1]
    np.subtract(2 * signal_mv[:, -1:], before_last[:, ::-1], out=padded[:, edge + n_in :])
    return padded


@lru_cache(maxsize=64)
def _band_pass(n_bins: int, duration_s: float, gain: int, spec: SignalSpec) -> NDArray[np.float32]:
    """Gain of every bin (2 n_bins,), each twice: for the real and for the imaginary part."""
    f_hz = np.arange(n_bins) / duration_s
    high_pass = 1 - 1 / (1 + (f_hz / spec.high_pass_hz) ** 4)
    low_pass = 1 / (1 + (f_hz / spec.low_pass_hz) ** 8)
    return np.repeat((gain * high_pass * low_pass).astype(np.float32), 2)


def _moves(signal_mv: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows of (leads, n) carry activity."""
    moves: NDArray[np.bool_] = signal_mv.max(axis=1) - signal_mv.min(axis=1) > _FLAT_MV
    return moves


def _refuse_too_few(window_mv: NDArray[np.float32], mask: NDArray[np.bool_], spec: SignalSpec) -> None:
    """Where the live leads of ``mask`` do not suffice; ``window_mv`` holds all leads of the record."""
    if not _moves(window_mv).any():
        raise FlatSignal(
            f"no lead moves by more than {_FLAT_MV * 1000:g} microvolt; expected an ECG. Check the electrodes."
        )
    lost = [lead for lead, ok in zip(spec.leads, mask, strict=True) if not ok]
    needed = [lead for lead in spec.required_leads if lead in lost]
    n_chest = sum(lead.startswith("V") for lead in spec.leads) - sum(lead.startswith("V") for lead in lost)
    if needed or n_chest < spec.min_chest_leads:
        raise MissingLeads(
            f"absent or flat: {', '.join(lost)}; expected {' and '.join(spec.required_leads)} and at least "
            f"{spec.min_chest_leads} of V1-V6. Send a 12-lead recording."
        )


def _with_blanks(filtered: NDArray[np.float32], mask: NDArray[np.bool_], spec: SignalSpec) -> NDArray[np.float32]:
    """The live leads (live, m) with zeros for missing leads and a missing end (leads, T)."""
    shape = (len(spec.leads), spec.n_samples)
    if filtered.shape == shape:
        return filtered
    signal_mv = np.zeros(shape, dtype=np.float32)
    signal_mv[mask, : filtered.shape[1]] = filtered
    return signal_mv


def _flags(record: EcgRecord, spec: SignalSpec, mask: NDArray[np.bool_], n_in: int) -> frozenset[Flag]:
    raised = {
        Flag.MISSING_LEADS: not mask.all(),
        Flag.RESAMPLED: record.fs_hz != spec.fs_hz,
        Flag.SHORT_RECORDING: n_in < round(spec.duration_s * record.fs_hz),
        Flag.UNITS_ASSUMED: record.source.units_assumed,
    }
    return frozenset(flag for flag, is_raised in raised.items() if is_raised)
