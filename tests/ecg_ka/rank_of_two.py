"""One of two ranks that train together; test_losses_training.py starts both.

python -m tests.ecg_ka.rank_of_two RANK FOLDER: reads batches.pt of the folder, writes gradients_RANK.pt.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist

from ecg_ka.losses import BatchLoss, CCCLoss, DistLoss, LabelBins, LabelDistribution, LabelWeights, SampleLoss
from ecg_ka.losses import gather_ranks as gather
from tests.ecg_ka.labels import LABELS


def losses() -> list[BatchLoss]:
    weights = LabelWeights.inverse_sqrt(LabelBins.from_labels(LABELS, width=0.1))
    return [DistLoss(LabelDistribution.from_labels(LABELS), sample=SampleLoss(weights=weights)), CCCLoss()]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)).double()


def gradients(model: nn.Module, x: Tensor, y: Tensor, loss: BatchLoss) -> list[Tensor]:
    """The loss and the gradients of all parameters."""
    model.zero_grad()
    value = loss(gather(model(x)), gather(y))
    torch.autograd.backward(value)
    return [value.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


def main(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    x, y = torch.load(folder / "batches.pt")[rank]
    model = nn.parallel.DistributedDataParallel(network())
    torch.save([gradients(model, x, y, loss) for loss in losses()], folder / f"gradients_{rank}.pt")
    dist.barrier()  # neither leaves while the other still talks to it
    os._exit(0)  # the gradients are on the disk; how the threads of gloo end is not what is tested


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
