"""Several networks in one graph: means, and how far the members are apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecg_ka import Estimator
from ecg_ka.bundle import load_bundle
from ecg_ka.network import NetworkConfig, PotassiumNet
from tests.ecg_ka.ecgs import ecg
from training.ensemble import Ensemble, ServedEnsemble
from training.export import to_onnx


def members(n: int) -> list[PotassiumNet]:
    made = []
    for seed in range(n):
        torch.manual_seed(seed)
        made.append(PotassiumNet(NetworkConfig()).eval())
    return made


def test_one_graph_gives_mean_and_standard_deviation_of_its_members() -> None:
    bundle, nets = load_bundle(), members(3)
    answer = Estimator(replace(bundle, onnx=to_onnx(Ensemble(nets), bundle.signal), members=3)).estimate(ecg(3))
    single = [Estimator(replace(bundle, onnx=to_onnx(net, bundle.signal))).estimate(ecg(3)) for net in nets]
    estimates = np.array([e.potassium_mmol_l for e in single])
    assert answer.potassium_mmol_l == pytest.approx(estimates.mean(), abs=1e-4)
    assert answer.epistemic_sd_mmol_l == pytest.approx(estimates.std(ddof=1), abs=1e-4)
    assert [e.epistemic_sd_mmol_l for e in single] == [None] * 3


def test_the_peaks_of_an_ensemble_are_those_of_its_first_member() -> None:
    """Novelty was fitted on them."""
    nets, signal = members(2), torch.randn(3, 8, 2500)
    served = ServedEnsemble(Ensemble(nets))(signal)[2]
    torch.testing.assert_close(served, nets[0](signal).peaks)
    assert not torch.allclose(served, nets[1](signal).peaks)


def test_members_must_be_of_one_shape() -> None:
    with pytest.raises(ValueError, match="at least 2 of the same shape"):
        Ensemble([*members(1), PotassiumNet(NetworkConfig(head_width=8))])
