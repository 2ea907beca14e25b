"""What the calibrated numbers of a bundle hold on held-out simulated ECGs, on shifted ones, and after recalibration.

    python -m training.shift --work runs/shift --out docs/coverage.md

Three parts: ECGs like those that calibrated the bundle; ECGs of dialysis patients from a cart that the simulator never
draws for training; and draws by band and by true region from flat potassium, which only the exact guarantees can pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch

from ecg_ka.bundle import SHIPPED, Bundle, load_bundle
from ecg_ka.simulator import CohortSpec, Preset, Prior
from ecg_ka.uncertainty import Calibration, Pairs
from training.config import execute
from training.coverage import DRAWS, agreement_table, by_draws, by_groups, curve_table
from training.outputs import Cart, outputs

STRATA_MMOL_L = ((2.0, 3.2), (3.1, 3.6), (3.5, 4.7), (4.6, 5.4), (5.3, 8.5))
"""Ranges of potassium in the blood, one for each true region; laboratory noise moves values over the edges."""

_STRATUM_SHARES = (0.2, 0.22, 0.17, 0.19, 0.26)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftConfig:
    """Coverage and width on held-out, shifted and flat simulated ECGs."""

    work: Path = field(metadata={"help": "folder for what was computed; a second run goes on from there"})
    out: Path = field(metadata={"help": "Markdown page to write"})
    bundle: Path = field(default=SHIPPED, metadata={"help": "bundle folder"})
    test: int = field(default=20_000, metadata={"help": "held-out ECGs"})
    shifted: int = field(default=20_000, metadata={"help": "shifted ECGs to test on"})
    local: int = field(default=10_000, metadata={"help": "shifted ECGs to recalibrate on"})
    flat: int = field(default=46_000, metadata={"help": "ECGs of flat potassium for the draws by band"})
    draw_test: int = field(default=5_000, metadata={"help": "test ECGs of each draw and band"})
    draw_calibration: int = field(default=2_000, metadata={"help": "calibration ECGs of each draw and band"})
    seed: int = field(default=8001, metadata={"help": "same seed, same ECGs"})


def main() -> None:
    """Entry point of ``python -m training.shift``."""
    execute(ShiftConfig, run)


def run(config: ShiftConfig) -> str:
    """Simulate what is missing, measure, and write the page; returns its text."""
    torch.set_num_threads(1)
    bundle = load_bundle(config.bundle)
    held_out = outputs(bundle, _spec(Prior.WIDE, config.test, config.seed), Cart.USUAL, config.work)
    dialysis = _spec(Prior.ESRD, config.shifted + config.local, config.seed + 1)
    shifted = outputs(bundle, dialysis, Cart.MONITOR, config.work)
    test, local = shifted.part(0, config.shifted), shifted.part(config.shifted, None)
    text = _head(bundle, config) + _page(bundle, held_out.pairs, test, local) + _draws(bundle, config)
    config.out.write_text(text)
    return text


def _spec(prior: Prior, n: int, seed: int, potassium: tuple[float, float] | None = None) -> CohortSpec:
    return CohortSpec(
        preset=Preset.PUBLISHED,
        prior=prior,
        n_patients=n,
        visits_per_patient=1,
        seed=seed,
        potassium_range_mmol_l=potassium,
    )


def _head(bundle: Bundle, config: ShiftConfig) -> str:
    """With the sizes that are not those of the defaults in the command."""
    sizes = [f for f in fields(config) if isinstance(f.default, int) and getattr(config, f.name) != f.default]
    options = "".join(f" --{f.name.replace('_', '-')} {getattr(config, f.name)}" for f in sizes)
    return _HEAD.format(options=options, bundle=bundle.provenance.calibrated_on)


def _page(bundle: Bundle, held_out: Pairs, test: Pairs, local: Pairs) -> str:
    calibration = bundle.calibration
    sizes = [n for n in (500, 2_000, 10_000) if n <= len(local.labels)]
    made = {"as shipped": calibration} | {
        f"{n:,} local pairs": Calibration.fit(
            Pairs(local.estimates[:n], local.spreads[:n], local.labels[:n]),
            calibration.distribution.curves,
            bundle.regions,
        )
        for n in sizes
    }
    return "\n".join(
        [
            _section(f"Held out: {len(held_out.labels):,} ECGs", _HELD_OUT, calibration, held_out),
            _section(f"Shifted: {len(test.labels):,} ECGs", _SHIFTED, calibration, test),
            _recalibrated(made, test),
        ]
    )


def _section(title: str, note: str, calibration: Calibration, pairs: Pairs) -> str:
    return f"\n## {title}\n\n{note}\n\n{by_groups(calibration, pairs)}\n\n{agreement_table(calibration, pairs)}\n"


def _recalibrated(made: Mapping[str, Calibration], test: Pairs) -> str:
    return f"\n## Recalibrated on local pairs\n\n{_LOCAL}\n\n{curve_table(made, test)}\n"


def _draws(bundle: Bundle, config: ShiftConfig) -> str:
    counts = [round(share * config.flat / sum(_STRATUM_SHARES)) for share in _STRATUM_SHARES]
    specs = (
        _spec(Prior.UNIFORM, n, config.seed + 10 + i, ends)
        for i, (ends, n) in enumerate(zip(STRATA_MMOL_L, counts, strict=True))
    )
    parts = [outputs(bundle, spec, Cart.USUAL, config.work).pairs for spec in specs]
    flat = Pairs.joined(parts)
    text = by_draws(flat, bundle.regions, config.draw_calibration, config.draw_test)
    note = _DRAWS.format(draws=DRAWS, n=len(flat.labels), calibration=config.draw_calibration, test=config.draw_test)
    return f"\n## Draws by true region and band\n\n{note}\n\n{text}\n"


_HEAD = """# What the calibrated numbers hold on simulated ECGs

Written by `python -m training.shift --work runs/shift --out docs/coverage.md{options}`. Simulated ECGs only: nothing
here is about patients. [uncertainty.md](uncertainty.md) says what each number promises. Calibrated on: {bundle}.

Level 0.9 for both intervals, 0.95 for bands. "Held" is the share of ECGs whose recorded potassium an interval holds,
widths are in mmol/L, one ECG a patient throughout.
"""

_HELD_OUT = """Drawn as the calibration ECGs were (prior "wide", the same kinds of cart), other patients. What is
promised: 0.9 overall and by predicted region for the marginal interval, 0.9 in each true region for the
label-conditional one, 0.95 in each true band for the bands."""

_SHIFTED = """Dialysis patients (prior "esrd") on a cart in monitor mode (0.67-25 Hz, gain 1.05), calibration as
shipped. Nothing is promised here, and what fails shows it: more dangerous values than the calibration ECGs had, and T
waves that the filter of the cart distorts."""

_LOCAL = """The same shifted ECGs, with the calibration rewritten from other patients of the same place, as
`python -m training.calibrate` does without 1,000 more of them for the quantile curves; network, estimates and curves
stay as they are. A predicted region with fewer than 100 of the pairs is joined to its neighbour, which shows in the
last column. One calibration each: by chance one with few ECGs of a true region holds some points more or less than
promised (the draws below have the average). Curves of another place make the highest estimates promise too much, which
2,000 local ECGs for curves of their own would mend (training/LOG.md)."""

_DRAWS = """{n:,} simulated ECGs of flat potassium. {draws:,} times {calibration:,} of each true region or band
calibrate and {test:,} others of it are tested: what is left is chance, and it follows the beta-binomial distribution.
Intervals are counted as the set of values kept in their own region, of which the answer gives the hull."""


if __name__ == "__main__":
    main()
