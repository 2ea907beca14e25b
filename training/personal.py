"""What earlier pairs of the same patient are worth, on simulated patients that nothing was fitted on.

    python -m training.personal --work runs/personal --out docs/personal.md

Every patient has six ECGs: the last one is estimated without, and with the last 1, 2 and 5 of the ECGs before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ecg_ka.bundle import SHIPPED, Bundle, load_bundle
from ecg_ka.simulator import CohortSpec, Preset, Prior
from ecg_ka.uncertainty import Pairs, Predictive
from ecg_ka.uncertainty.scores import HIGH_MMOL_L, LOW_MMOL_L, ROUNDING
from training.config import execute
from training.markdown import table
from training.metrics import auroc
from training.metrics_agreement import holds
from training.outputs import Cart, Outputs, outputs

N_PRIOR = (0, 1, 2, 5)
VISITS = 6
LEVEL = 0.9

_HEAD = """# What earlier pairs of the same patient are worth

Simulated ECGs only: nothing here is about patients. Written by `python -m training.personal --work runs/personal --out
docs/personal.md`. {n} simulated patients that network and calibration never saw, prior "{prior}", six ECGs each.
Potassium differs freely between the ECGs of a patient, while anatomy, conditions and the answer to potassium stay.
Estimated is the sixth.
"""

_LOU = """
A published figure on real ECGs, for comparison: Lou et al. (Eur Heart J Digit Health 2023, 4:22, online 2022) also use
best linear unbiased prediction and report for hyperkalaemia AUROC 0.884 without and 0.915 with earlier ECGs of the same
patient. Data and tasks differ, so only the direction can be compared: here {before:.3f} without, {one:.3f} with one
pair and {five:.3f} with five.

Variance components of the bundle, from {n_patients} other patients: SD {between:.3f} mmol/L between patients and
{within:.3f} within (estimate = {intercept:.2f} + {slope:.3f} K + offset + rest). That the interval holds what it says
rests on the model in `ecg_ka/uncertainty/personal.py`, not on exchangeability alone. The label-conditional interval
keeps the radii that were calibrated without history, so that it holds more than it says.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalConfig:
    """Gain by 1, 2 and 5 earlier pairs of a patient."""

    work: Path = field(metadata={"help": "folder for what was computed; a second run goes on from there"})
    out: Path = field(metadata={"help": "Markdown page to write"})
    bundle: Path = field(default=SHIPPED, metadata={"help": "bundle folder with variance components"})
    patients: int = field(default=1500, metadata={"help": "simulated patients"})
    prior: Prior = field(default=Prior.WIDE, metadata={"help": "distribution of potassium"})
    seed: int = field(default=7001, metadata={"help": "same seed, same patients"})


class Gain(NamedTuple):
    """What the answers with ``n_prior`` pairs are worth."""

    n_prior: int
    mae: float
    mae_of_median: float
    auroc_high: float
    auroc_low: float
    coverage: float
    width: float
    coverage_by_label: float


def main() -> None:
    """Entry point of ``python -m training.personal``."""
    execute(PersonalConfig, run)


def run(config: PersonalConfig) -> list[Gain]:
    """Compute, write the page, and return its rows.

    Raises:
        ValueError: the bundle holds no variance components.
    """
    torch.set_num_threads(1)
    bundle = load_bundle(config.bundle)
    if bundle.personal is None:
        raise ValueError(f"{config.bundle} holds no variance components; see python -m training.calibrate --help")
    spec = CohortSpec(
        preset=Preset.PUBLISHED,
        prior=config.prior,
        n_patients=config.patients,
        visits_per_patient=VISITS,
        seed=config.seed,
    )
    found = outputs(bundle, spec, Cart.USUAL, config.work)
    gains = [gain(bundle, found, n) for n in N_PRIOR]
    config.out.write_text(_page(bundle, config, gains))
    return gains


def gain(bundle: Bundle, found: Outputs, n_prior: int) -> Gain:
    """Of the last ECG of each patient, given the ``n_prior`` before it."""
    p = found.pairs
    estimates, spreads, labels = (a.reshape(-1, VISITS) for a in (p.estimates, p.spreads, p.labels))
    before = slice(VISITS - 1 - n_prior, VISITS - 1)
    last = Pairs(estimates[:, -1], spreads[:, -1], labels[:, -1])
    stretched, predicted = _answered(bundle, last, estimates[:, before], labels[:, before])
    marginal = np.array([(i.lower, i.upper) for i in (one.interval(LEVEL) for one in predicted)])
    by_label = bundle.calibration.label_conditional
    wide = np.array([(i.lower, i.upper) for i in (by_label.interval(float(e), LEVEL) for e in stretched)])
    k = last.labels
    return Gain(
        n_prior=n_prior,
        mae=float(np.abs(stretched - k).mean()),
        mae_of_median=float(np.abs(np.array([one.median() for one in predicted]) - k).mean()),
        auroc_high=auroc(k >= HIGH_MMOL_L - ROUNDING, stretched).value,
        auroc_low=auroc(k < LOW_MMOL_L - ROUNDING, -stretched).value,
        coverage=_held(marginal, k),
        width=float((marginal[:, 1] - marginal[:, 0]).mean()),
        coverage_by_label=_held(wide, k),
    )


def _answered(
    bundle: Bundle, last: Pairs, earlier: NDArray[np.float64], measured: NDArray[np.float64]
) -> tuple[NDArray[np.float64], list[Predictive]]:
    """Estimates (n,) and predictive distributions of the last ECGs, given earlier ones (n, m)."""
    predicted = [
        bundle.calibration.distribution.predict(float(e), float(s))
        for e, s in zip(last.estimates, last.spreads, strict=True)
    ]
    if bundle.personal is None or not earlier.shape[1]:
        return last.estimates, predicted
    offsets = [bundle.personal.offset(e.tolist(), k.tolist()) for e, k in zip(earlier, measured, strict=True)]
    rows = zip(predicted, last.estimates, offsets, strict=True)
    sharper = [bundle.personal.sharpen(one, float(e), offset) for one, e, offset in rows]
    return last.estimates - np.array([offset.offset_mmol_l for offset in offsets]), sharper


def _held(ends: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    return float(np.mean(holds(labels, ends)))


def _page(bundle: Bundle, config: PersonalConfig, gains: list[Gain]) -> str:
    head = [
        "earlier pairs", "MAE of the estimate", "MAE of the median", "AUROC K >= 5.5", "AUROC K < 3.5",
        f"coverage at {LEVEL:g}", "width", "coverage, label-conditional",
    ]  # fmt: skip
    rows = [[str(g.n_prior), *(f"{value:.3f}" for value in g[1:])] for g in gains]
    components = bundle.personal
    about = {} if components is None else {
        "n_patients": components.n_patients,
        "between": components.between**0.5,
        "within": components.within**0.5,
        "intercept": components.intercept,
        "slope": components.slope,
    }  # fmt: skip
    text = _LOU.format(before=gains[0].auroc_high, one=gains[1].auroc_high, five=gains[-1].auroc_high, **about)
    return _HEAD.format(n=config.patients, prior=config.prior) + "\n" + table(head, rows) + "\n" + text


if __name__ == "__main__":
    main()
