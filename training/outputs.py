"""What the network of a bundle gives for simulated ECGs, batch by batch; finished sets are kept on disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal

from ecg_ka.bundle import Bundle
from ecg_ka.estimator import prepare
from ecg_ka.network import PotassiumNet
from ecg_ka.preprocess import SignalSpec
from ecg_ka.scoring.progress import Progress
from ecg_ka.simulator import FS_HZ, CohortSpec, as_record, simulate_batch
from ecg_ka.uncertainty import Pairs
from training.calibrate import members_of
from training.ensemble import joined


class Cart(StrEnum):
    """Which device wrote the ECGs: those that the simulator draws, or one that it never draws, in monitor mode: 0.67 Hz
    single-pole high-pass, 25 Hz low-pass of second order, both causal, gain 1.05, steps of 5 microvolts."""

    USUAL = "usual"
    MONITOR = "monitor"

    def through(self, signal_mv: NDArray[np.float32]) -> NDArray[np.float32]:
        """The signals (..., n) at FS_HZ as this device writes them."""
        if self is Cart.USUAL:
            return signal_mv
        high = signal.butter(1, 0.67, "highpass", fs=FS_HZ, output="sos")
        low = signal.butter(2, 25.0, "lowpass", fs=FS_HZ, output="sos")
        filtered = signal.sosfilt(np.concatenate([high, low]), signal_mv - signal_mv[..., :1], axis=-1)
        return np.asarray(np.rint(1.05 * filtered / 0.005) * 0.005, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """Estimates, spreads, labels (n,) in mmol/L and patients (n,); the ECGs of a patient stand next to each other."""

    pairs: Pairs
    patients: NDArray[np.int64]

    def part(self, start: int, stop: int | None) -> Pairs:
        """The pairs from ``start`` up to, not including, ``stop``."""
        p = self.pairs
        return Pairs(p.estimates[start:stop], p.spreads[start:stop], p.labels[start:stop])


def outputs(bundle: Bundle, spec: CohortSpec, cart: Cart, work: Path) -> Outputs:
    """The outputs for a simulated cohort; read from the folder ``work`` when they are there, else computed and written.
    Their file is named by weights, specification and cart, so that no other network's outputs are taken for them."""
    name = hashlib.sha256(bundle.weights + f"{bundle.signal} {spec} {cart}".encode()).hexdigest()[:16]
    kept = work / f"{spec.prior}-{cart}-{name}.npz"
    if not kept.is_file():
        work.mkdir(parents=True, exist_ok=True)
        columns = _columns(bundle, spec, cart, Progress(kept.stem, spec.n_patients * spec.visits_per_patient))
        part = kept.with_suffix(".part.npz")
        np.savez(part, **columns)  # type: ignore[arg-type]  # the stub takes a column for a flag
        part.replace(kept)
    with np.load(kept, allow_pickle=False) as saved:
        pairs = Pairs(saved["estimates"], saved["spreads"], saved["labels"])
        return Outputs(pairs, saved["patients"])


def _columns(bundle: Bundle, spec: CohortSpec, cart: Cart, progress: Progress) -> dict[str, NDArray[np.generic]]:
    network = joined(members_of(bundle))
    columns: dict[str, list[NDArray[np.generic]]] = {"estimates": [], "spreads": [], "labels": [], "patients": []}
    for index in range(spec.n_batches):
        batch = simulate_batch(spec, index)
        estimates, spreads = _infer(network, _inputs(cart.through(batch.signal_mv), bundle.signal))
        found = (estimates, spreads, batch.potassium_mmol_l, batch.patient_id.astype(np.int64))
        for column, values in zip(columns.values(), found, strict=True):
            column.append(values)
        progress.step(len(estimates))
    return {name: np.concatenate(column) for name, column in columns.items()}


def _inputs(signal_mv: NDArray[np.float32], spec: SignalSpec) -> NDArray[np.float32]:
    records = (as_record(row) for row in signal_mv)
    return np.stack([prepare(record, spec).signal_mv for record in records])


@torch.no_grad()
def _infer(network: PotassiumNet, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    out = network(torch.from_numpy(inputs))
    return out.potassium_mmol_l.double().numpy(), out.spread_mmol_l.double().numpy()
