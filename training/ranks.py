"""Several processes (ranks) that train one network together, as torchrun starts them.

Every rank holds the whole network and takes its share of every batch through it. The features of all ranks are gathered
with their exact gradient (``ecg_ka.losses.gather_ranks``), so heads, losses and additions see the batch as one process
would, whatever they are; then gradients are averaged. The network is so small (about 2 MB of gradients) that one sum of
all of them costs less than overlapping the sums with the backward pass saves.

Without torchrun there is one rank, and none of this does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch import distributed as dist


def is_several() -> bool:
    """Is this one of several processes?"""
    return dist.is_available() and dist.is_initialized()


def is_first() -> bool:
    """Is this the process that writes?"""
    return not is_several() or dist.get_rank() == 0


def n_ranks() -> int:
    """How many processes there are."""
    return dist.get_world_size() if is_several() else 1


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did, for a while; gives the device of this one."""
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def share(n: int) -> slice:
    """The part of a batch of n that belongs to this rank; the shares of all ranks follow one after the other."""
    if not is_several():
        return slice(0, n)
    rank, world = dist.get_rank(), dist.get_world_size()
    return slice(rank * n // world, (rank + 1) * n // world)


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Every gradient becomes its mean over ranks, by one sum of all of them."""
    if not is_several():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def any_rank(flag: bool, device: torch.device) -> bool:
    """Is it so on any rank?"""
    if not is_several():
        return flag
    said = torch.tensor(int(flag), device=device)
    dist.all_reduce(said, op=dist.ReduceOp.MAX)
    return bool(said)


def wait_for_all(device: torch.device) -> None:
    """Until every rank is here."""
    any_rank(False, device)


def summed(tensor: Tensor) -> Tensor:
    """The sum over ranks, on each of them. Its gradient is the sum of what every rank sends back."""
    total: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: object, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: object, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total
