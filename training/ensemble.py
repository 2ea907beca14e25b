"""Several networks of one shape served as one: a single graph, and a single file of weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ecg_ka.network import PotassiumNet


class Ensemble(PotassiumNet):
    """Estimates and spreads are the means over the members; the embedding is that of all members, one after the other.

    The spread tells how far a label lies from an estimate; how far the members lie from each other tells what the
    network does not know (Lakshminarayanan et al., NeurIPS 2017). The two are kept apart.
    """

    def __init__(self, members: Sequence[PotassiumNet]) -> None:
        if len(members) < 2 or len({member.config for member in members}) > 1:
            raise ValueError(f"{len(members)} networks; expected at least 2 of the same shape")
        nn.Module.__init__(self)  # the layers are those of the members
        self.config = members[0].config
        self.members = nn.ModuleList(members)

    @property
    def n_features(self) -> int:
        """The width of all embeddings."""
        return len(self.members) * super().n_features

    def embed(self, signal_mv: Tensor) -> Tensor:
        """(B, leads, T) -> (B, members x E)."""
        return torch.cat([member.embed(signal_mv) for member in self._nets()], dim=1)

    def peaks(self, embedding: Tensor) -> Tensor:
        """(B, members x E) -> the maxima (B, E / 4) of the first member."""
        return self._nets()[0].peaks(self._parts(embedding)[0])

    def estimate(self, embedding: Tensor) -> Tensor:
        """(B, members x E) -> potassium (B,) in mmol/L."""
        return self.estimates(embedding).mean(dim=0)

    def estimates(self, embedding: Tensor) -> Tensor:
        """(B, members x E) -> potassium (members, B) in mmol/L."""
        return torch.stack([m.estimate(e) for m, e in zip(self._nets(), self._parts(embedding), strict=True)])

    def spread(self, embedding: Tensor) -> Tensor:
        """(B, members x E) -> scale (B,) in mmol/L of the error of the estimate."""
        return torch.stack([m.spread(e) for m, e in zip(self._nets(), self._parts(embedding), strict=True)]).mean(dim=0)

    def _nets(self) -> list[PotassiumNet]:
        return [member for member in self.members if isinstance(member, PotassiumNet)]

    def _parts(self, embedding: Tensor) -> tuple[Tensor, ...]:
        return torch.chunk(embedding, len(self.members), dim=1)


def joined(members: Sequence[PotassiumNet]) -> PotassiumNet:
    """One network as it is, several as an ensemble."""
    return members[0] if len(members) == 1 else Ensemble(members)


class ServedEnsemble(nn.Module):
    """What the graph of an ensemble gives: mean potassium (B,), mean spread (B,), the peaks (B, E / 4) of the first
    member, and the standard deviation (B,) of the members' estimates (n - 1 in the denominator)."""

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.ensemble = ensemble

    def forward(self, signal_mv: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Everything for a batch (B, leads, T)."""
        n = len(self.ensemble.members)
        embedding = self.ensemble.embed(signal_mv)
        estimates = self.ensemble.estimates(embedding)
        mean = estimates.mean(dim=0)
        epistemic = ((estimates - mean).square().sum(dim=0) / (n - 1)).sqrt()
        return mean, self.ensemble.spread(embedding), self.ensemble.peaks(embedding), epistemic
