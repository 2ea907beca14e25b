"""On what a network is trained, and in which precision."""

from __future__ import annotations

import torch


def device_named(name: str) -> torch.device:
    """A device by torch's name, or ``auto``: the GPU if there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def in_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 gain anything there: on GPUs, and on x86 with AVX-512 BF16. On AVX2 alone a step
    takes ten times as long as in float32; other processors were not measured."""
    return device.type != "cpu" or bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
