"""This program and what a user would run instead, in one process and one thread, taking turns."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import wfdb
from numpy.typing import NDArray

from ecg_ka import Estimator, SignalSpec, prepare, read
from ecg_ka.network import NetworkConfig, PotassiumNet
from ecg_ka.preprocess import filter_and_resample, to_model_input
from ecg_ka.record import LEADS
from tests.benchmarks import peers
from tests.benchmarks.alternating import Rounds, take_turns
from tests.ecg_ka.ecgs import ecg

SPEC_12 = SignalSpec(leads=LEADS)


def network_of(module: torch.nn.Module) -> Callable[[NDArray[np.float32]], object]:
    """A forward pass of one ECG in torch eager."""
    module.eval()

    def forward(signal: NDArray[np.float32]) -> object:
        with torch.inference_mode():
            return module(torch.from_numpy(signal)[None])

    return forward


def preprocessing(rounds: int) -> Rounds:
    """12 leads of 10 s at 500 Hz in memory; the last is what the network is given, 8 leads."""
    record = ecg(1)
    mv = np.ascontiguousarray(record.signal_mv)
    rows, spec = mv.astype(np.float64), Estimator.load().bundle.signal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return take_turns(
            {
                "sosfiltfilt + resample_poly": lambda: peers.sosfiltfilt_and_resample_poly(mv),
                "neurokit2.ecg_clean": lambda: peers.neurokit_clean(rows),
                "ECGFounder's filters": lambda: peers.founder_clean(rows),
                "filter_and_resample": lambda: filter_and_resample(mv, 500.0, SPEC_12),
                "to_model_input": lambda: to_model_input(record, spec),
            },
            rounds,
            repeats=5,
        )


def networks(rounds: int) -> Rounds:
    """One ECG that lies ready, through each network."""
    torch.manual_seed(0)
    estimator = Estimator.load()
    ours = prepare(ecg(1), estimator.bundle.signal)
    noise = np.random.default_rng(0).normal(0, 1, (12, 5000)).astype(np.float32)
    ribeiro, net1d = network_of(peers.RibeiroShaped()), network_of(peers.Net1dShaped())
    eager = network_of(PotassiumNet(NetworkConfig()))
    return take_turns(
        {
            "ours": lambda: estimator.outputs(ours),
            "ours in torch": lambda: eager(ours.signal_mv),
            "Ribeiro-shaped": lambda: ribeiro(noise[:, :4096]),
            "Net1D-shaped": lambda: net1d(noise),
        },
        rounds,
    )


def whole_way(folder: Path, rounds: int) -> Rounds:
    """From a WFDB pair on the disk to one number; ours gives interval, quality and novelty with it."""
    torch.manual_seed(0)
    record = ecg(1)
    wfdb.wrsamp("a", fs=500, units=["mV"] * 12, sig_name=list(LEADS), p_signal=record.signal_mv.T.astype(float),
                fmt=["16"] * 12, write_dir=str(folder))  # fmt: skip
    path, estimator = folder / "a.hea", Estimator.load()
    ribeiro, net1d = network_of(peers.RibeiroShaped()), network_of(peers.Net1dShaped())
    eager, independent = network_of(PotassiumNet(NetworkConfig())), [0, 1, *range(6, 12)]

    def loaded() -> NDArray[np.float64]:
        return np.ascontiguousarray(wfdb.rdrecord(str(folder / "a")).p_signal.T)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return take_turns(
            {
                "ours": lambda: estimator.estimate(read(path)),
                "(a) wfdb, neurokit2, Ribeiro-shaped": lambda: ribeiro(
                    peers.to_4096_at_400_hz(peers.neurokit_clean(loaded()))
                ),
                "(b) wfdb, filters, Net1D-shaped": lambda: net1d(peers.founder_clean(loaded())),
                "(c) wfdb, scipy, our network in torch": lambda: eager(
                    peers.sosfiltfilt_and_resample_poly(loaded()[independent].astype(np.float32)).astype(np.float32)
                ),
            },
            rounds,
        )
