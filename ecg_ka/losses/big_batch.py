"""The exact gradient of a big batch on a machine that holds only a part of it at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def backward_big_batch(
    model: nn.Module, chunks: Sequence[Tensor], labels: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Add to the gradients of the model (and of the loss) those of ``loss(predictions, labels)`` over all chunks
    together; returns that loss, detached.

    A loss such as Dist Loss is no sum over samples, so the usual accumulation gives another gradient. Here a first pass
    without graph predicts all chunks (n_c, ...), the loss gives its gradient for each prediction, and a second pass
    sends it through the model chunk by chunk (gradient cache: Gao et al. 2021). The second pass repeats the random
    numbers (torch's own generators) and the buffers of the first, so dropout and batch-norm statistics are those of one
    pass; batch norm in training mode normalises within a chunk. ``labels`` are those of all chunks, in their order.
    """
    states: list[_RandomState] = []
    buffers = [buffer.clone() for buffer in model.buffers()]
    outputs = []
    with torch.no_grad():
        for chunk in chunks:
            states.append(_RandomState(chunk.device))
            outputs.append(model(chunk))
        for buffer, before in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(before)
    predictions = torch.cat(outputs).requires_grad_()
    value = loss(predictions, labels)
    torch.autograd.backward(value)
    gradient = torch.zeros_like(predictions) if predictions.grad is None else predictions.grad
    gradients = torch.split(gradient, [len(output) for output in outputs])
    for chunk, state, part in zip(chunks, states, gradients, strict=True):
        with state.again():
            torch.autograd.backward(model(chunk), part)
    return value.detach()


class _RandomState:
    """Where torch's generators stand, on the CPU and on one CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self.devices = [device] if device.type == "cuda" else []
        self.cpu = torch.get_rng_state()
        self.cuda = [torch.cuda.get_rng_state(d) for d in self.devices]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Go back there for a while."""
        with torch.random.fork_rng(self.devices):
            torch.set_rng_state(self.cpu)
            for device, state in zip(self.devices, self.cuda, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
