"""The random numbers of augmentation: one after the other from a generator, or each from where its ECG stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # as a signed 64 bit integer, like the other two
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
_24_BITS = 2**24 - 1


class Order(StrEnum):
    """Where random numbers come from: a generator on the CPU in the order of use, or the position of each ECG.

    By position, an ECG gets the same numbers in whatever batch, process or device it is; several processes need that,
    and a GPU makes its own. In order is what runs on one CPU always did.
    """

    IN_ORDER = "in-order"
    BY_POSITION = "by-position"


class Draws(ABC):
    """Random numbers for the n ECGs of a batch, on its device: the first axis of all results."""

    @abstractmethod
    def uniform(self, *shape: int) -> Tensor:
        """(n, *shape) in [0, 1)."""

    @abstractmethod
    def normal(self, *shape: int) -> Tensor:
        """(n, *shape) of mean 0 and SD 1."""

    @abstractmethod
    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """(n, *shape) from ``low`` to ``high`` - 1."""

    @abstractmethod
    def chosen(self, p: float) -> Tensor:
        """Which ECGs (k,), each with probability ``p``; on the CPU, so that no GPU is waited for."""

    @abstractmethod
    def of(self, rows: Tensor) -> Draws:
        """The draws of some of the ECGs (k,), chosen on the CPU."""


class InOrder(Draws):
    """From a generator on the CPU."""

    def __init__(self, generator: torch.Generator, n: int, device: torch.device) -> None:
        self._generator, self._n, self._device = generator, n, device

    def uniform(self, *shape: int) -> Tensor:
        """(n, *shape) in [0, 1)."""
        return torch.rand(self._n, *shape, generator=self._generator).to(self._device)

    def normal(self, *shape: int) -> Tensor:
        """(n, *shape) of mean 0 and SD 1."""
        return torch.randn(self._n, *shape, generator=self._generator).to(self._device)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """(n, *shape) from ``low`` to ``high`` - 1."""
        return torch.randint(low, high, (self._n, *shape), generator=self._generator).to(self._device)

    def chosen(self, p: float) -> Tensor:
        """Which ECGs (k,)."""
        return torch.nonzero(torch.rand(self._n, generator=self._generator) < p)[:, 0]

    def of(self, rows: Tensor) -> Draws:
        """From the same generator."""
        return InOrder(self._generator, len(rows), self._device)


class ByPosition(Draws):
    """A hash of what an ECG is called and how often was drawn for it (SplitMix64: Steele, Lea, Flood 2014).

    ``keys`` (n,) int64 on the CPU name the ECGs; :meth:`at` makes them from places in an epoch.
    """

    def __init__(self, keys: Tensor, device: torch.device) -> None:
        self._keys, self._device, self._n_drawn = keys, device, 0

    @classmethod
    def at(cls, places: range, *, seed: int, epoch: int, device: torch.device) -> ByPosition:
        """For the ECGs at these places in the order of an epoch."""
        root = _mixed(_mixed(torch.tensor(seed)) + epoch)
        return cls(_mixed(root + torch.arange(places.start, places.stop)), device)

    def uniform(self, *shape: int) -> Tensor:
        """(n, *shape) in [0, 1)."""
        return _fraction(self._bits(self._device, *shape) >> 40)

    def normal(self, *shape: int) -> Tensor:
        """(n, *shape) of mean 0 and SD 1, after Box and Muller 1958."""
        bits = self._bits(self._device, *shape)
        radius = torch.sqrt(-2 * torch.log(1 - _fraction(bits >> 40)))
        return radius * torch.cos(2 * torch.pi * _fraction(bits >> 16))

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """(n, *shape) from ``low`` to ``high`` - 1."""
        return low + (self.uniform(*shape) * (high - low)).long()

    def chosen(self, p: float) -> Tensor:
        """Which ECGs (k,)."""
        return torch.nonzero(_fraction(self._bits(torch.device("cpu")) >> 40) < p)[:, 0]

    def of(self, rows: Tensor) -> Draws:
        """With keys of their own: how many are drawn for some ECGs never matters to the others."""
        return ByPosition(self._next()[rows], self._device)

    def _next(self) -> Tensor:
        self._n_drawn += 1
        return _mixed(self._keys + torch.tensor(self._n_drawn) * _GOLDEN)

    def _bits(self, device: torch.device, *shape: int) -> Tensor:
        """64 random bits in each element of (n, *shape)."""
        n_each = torch.Size(shape).numel()
        counter = torch.arange(n_each, device=device) * _GOLDEN
        return _mixed(self._next().to(device)[:, None] + counter).reshape(-1, *shape)


def _mixed(x: Tensor) -> Tensor:
    """Every bit of the output depends on every bit of the input; products wrap around."""
    x = (x ^ ((x >> 30) & (2**34 - 1))) * _FIRST
    x = (x ^ ((x >> 27) & (2**37 - 1))) * _SECOND
    return x ^ ((x >> 31) & (2**33 - 1))


def _fraction(bits: Tensor) -> Tensor:
    """The lowest 24 bits as a number in [0, 1), exact in float32."""
    return (bits & _24_BITS).float() * 2.0**-24
