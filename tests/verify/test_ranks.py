"""Two processes that torchrun starts train what one trains on the same batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training import rank_training
from training import ranks
from training.batch_statistics import synchronise

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(900)  # three processes that share what cores there are
def test_two_gloo_processes_have_the_loss_curves_of_one(tmp_path: Path) -> None:
    """50 steps of each objective that mixes the ECGs of a batch, with batch statistics over both, full augmentation
    and a last batch of 4; and both processes agree."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "tests.training.rank_training", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    one = rank_training.curves()
    for rank in range(2):
        two = json.loads((tmp_path / f"losses_{rank}.json").read_text())
        for name, losses in one.items():
            assert len(two[name]) == len(losses) == 50
            np.testing.assert_allclose(two[name], losses, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("n", [1, 2, 7, 256])
def test_shares_follow_each_other(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "is_several", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    found: list[int] = []
    for rank in range(3):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        found += range(n)[ranks.share(n)]
    assert found == [*range(n)]


def test_synchronised_statistics_keep_the_state_dict() -> None:
    network = nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3))
    before = network.state_dict()
    synchronise(network, torch.device("cpu"))
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert list(before) == list(after)
