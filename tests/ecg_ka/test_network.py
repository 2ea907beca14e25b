"""The network: shapes, what its parts may and may not move, and the same numbers from ONNX."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from ecg_ka.network import NetworkConfig, PotassiumNet, n_parameters
from ecg_ka.preprocess import SignalSpec
from training.export import to_onnx

SMALL = NetworkConfig(stem_channels=8, channels=(8, 16), head_width=8)


def network(config: NetworkConfig = SMALL) -> PotassiumNet:
    torch.manual_seed(0)
    made = PotassiumNet(config)
    made(torch.randn(16, 8, 2500))  # moves the batch statistics away from their start
    return made.eval()


def test_shapes_and_positive_spread() -> None:
    out = network()(torch.randn(5, 8, 2500))
    assert out.potassium_mmol_l.shape == out.spread_mmol_l.shape == (5,)
    assert out.peaks.shape == (5, 8)
    assert (out.spread_mmol_l >= SMALL.min_spread_mmol_l).all()


def test_the_peaks_are_the_largest_values_over_time_of_every_second_feature() -> None:
    made, signal = network(), torch.randn(5, 8, 2500)
    features = torch.relu(made.norm(made.blocks(made.stem(signal))))
    torch.testing.assert_close(made(signal).peaks, features[:, ::2].amax(dim=2))


def test_the_shipped_size() -> None:
    assert 300_000 <= n_parameters(PotassiumNet(NetworkConfig())) <= 800_000


def test_training_the_spread_never_moves_the_estimate() -> None:
    made = network()
    made(torch.randn(4, 8, 2500)).spread_mmol_l.sum().backward()
    moved = {name for name, p in made.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved
    assert all(name.startswith("spread_head") for name in moved)


@pytest.mark.parametrize("squeeze_excitation", [True, False])
def test_onnx_gives_the_same_three_outputs(squeeze_excitation: bool) -> None:
    made = network(NetworkConfig(stem_channels=8, channels=(8, 16), squeeze_excitation=squeeze_excitation))
    session = onnxruntime.InferenceSession(to_onnx(made, SignalSpec()))
    x = torch.randn(3, 8, 2500)
    with torch.no_grad():
        expected = made(x)
    for got, want in zip(session.run(None, {"signal_mv": x.numpy()}), expected, strict=True):
        np.testing.assert_allclose(got, want.numpy(), atol=1e-4)


def test_an_unknown_field_of_the_config_is_fatal() -> None:
    with pytest.raises(TypeError):
        NetworkConfig.from_dict({"kernal": 5})
    assert NetworkConfig.from_dict({"channels": [8, 16]}).channels == (8, 16)
