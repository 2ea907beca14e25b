"""One batch from the batches of all ranks, with the exact gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def gather_ranks(tensor: Tensor) -> Tensor:
    """The tensors (n_r, ...) of all ranks r, one after the other (sum n_r, ...); n_r may differ, the rest may not.

    The gradient is the adjoint: the sum over ranks of what each sends back. With gradients averaged over ranks, as
    ``DistributedDataParallel`` does,

        loss(gather_ranks(predictions), gather_ranks(labels))

    has value and gradient of one process on the global batch, for every loss of this package. Without an initialised
    process group it returns the tensor.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    gathered: Tensor = _Gather.apply(tensor)  # type: ignore[no-untyped-call]
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        sizes = [torch.zeros(1, dtype=torch.int64, device=tensor.device) for _ in range(dist.get_world_size())]
        dist.all_gather(sizes, torch.tensor([len(tensor)], device=tensor.device))
        lengths = [int(size) for size in sizes]
        padded = tensor.new_zeros(max(lengths), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
        ctx.start, ctx.length = sum(lengths[: dist.get_rank()]), len(tensor)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.start : ctx.start + ctx.length]
