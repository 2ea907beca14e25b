"""One prior and seed: what its methods are fitted on, and files that are not what they should be."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from ecg_ka.simulator import Prior
from training.cohort import Split
from training.comparison.methods import (
    ENRICHED,
    L1_NETWORK,
    QUANTILE_MAP,
    TIER_1,
)
from training.comparison.plan import CompareConfig
from training.comparison.site import Site


def test_mappings_are_fitted_without_the_test_split(small: CompareConfig, written: str) -> None:
    site = Site(small, Prior.WIDE, 1)
    _, reference, fitted_to = site._free(QUANTILE_MAP)
    rows = {split: site.cohort.rows(split) for split in Split}
    np.testing.assert_array_equal(fitted_to, site.cohort.labels(rows[Split.TRAIN]))
    np.testing.assert_array_equal(reference, site._trained(L1_NETWORK).estimates(Split.CALIBRATION))


def test_other_features_are_those_of_other_networks(small: CompareConfig, written: str) -> None:
    site = Site(small, Prior.WIDE, 1)
    backbones = [site._trained(network) for network in (L1_NETWORK, ENRICHED)]
    assert not torch.equal(backbones[0].features[Split.TEST], backbones[1].features[Split.TEST])
    together = site._joined(backbones).features[Split.TEST]
    assert torch.equal(together, torch.cat([b.features[Split.TEST] for b in backbones], dim=1))


def test_a_damaged_cell_is_named(small: CompareConfig, written: str) -> None:
    path = min((small.out / "cells").glob("wide-1-l2-*"))
    whole = path.read_text()
    others = [json.dumps(json.loads(whole) | given) for given in ({"estimates": [4.2]}, {"seed": 2}, {"method": "l1"})]
    for damaged in (whole[:500], "{}", *others):
        path.write_text(damaged)
        with pytest.raises(ValueError, match=f"{path.name}.*delete it"):
            Site(small, Prior.WIDE, 1).cell(next(m for m in TIER_1 if m.name == "l2"))
    path.write_text(whole)


def test_a_damaged_network_is_named(small: CompareConfig, written: str) -> None:
    site = Site(small, Prior.WIDE, 1)
    site._trained(L1_NETWORK)
    (path,) = (small.out / "networks").glob("wide-1-l1-*")
    whole, tensors = path.read_bytes(), load_file(path)
    lacking = [{k: v for k, v in tensors.items() if k != name} for name in ("seconds_per_step", "test", min(tensors))]
    for damaged in (whole[:1000], *map(save, lacking)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"(?s){path.name} is damaged .*delete it"):
            site._trained(L1_NETWORK)
    path.write_bytes(whole)
