"""What novelty and the signal checks of a bundle find, and how often they are wrong: docs/checks.md.

    python -m training.checks --data ../shared/data/ptbxl --out docs/checks.md

On simulated ECGs that training never saw, on the PTB-XL records at hand, and on what training/alterations.py makes of
both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg_ka.bundle import SHIPPED
from ecg_ka.errors import EcgError, UnusableRecord
from ecg_ka.estimator import Estimator, prepare
from ecg_ka.flags import Flag
from ecg_ka.quality import assess, full_report
from ecg_ka.readers import read
from ecg_ka.record import EcgRecord
from ecg_ka.simulator import CohortSpec, Preset, Prior, as_record, simulate_cohort
from training import alterations as made
from training.config import execute
from training.files import write_atomically
from training.markdown import table
from training.ptbxl import Entry, entries

NOVEL = (
    made.unchanged,
    made.shuffled_leads,
    made.half_speed,
    made.double_speed,
    made.noise,
    made.two_chest_leads_missing,
    made.clipped,
    made.flat,
    made.impossible_rate,
    made.three_leads_swapped,
)
BROKEN = (
    made.unchanged,
    made.noise,
    made.flat,
    made.disconnected,
    made.three_leads_swapped,
    made.three_chest_leads_swapped,
)
WIDE_CODES = frozenset({"CLBBB", "CRBBB", "PACE", "IVCD"})
WIDE_MS = 120.0

_LAST_SEEN = 100  # id of PTB-XL up to which limits of the signal checks were set
_SEED = 20_261
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksConfig:
    """Novelty and signal checks of a bundle, tried out."""

    data: Path = field(metadata={"help": "folder of PTB-XL with ptbxl_database.csv"})
    out: Path = field(metadata={"help": "Markdown file to write"})
    bundle: Path = field(default=SHIPPED, metadata={"help": "bundle folder"})
    patients: int = field(default=512, metadata={"help": "simulated patients for novelty and broken ECGs"})
    patients_of_checks: int = field(default=2048, metadata={"help": "simulated patients for the signal checks"})
    every: int = field(default=8, metadata={"help": "each n-th PTB-XL record is delineated by neurokit2"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulated:
    """Records with what is true of them: (n,) each."""

    records: tuple[EcgRecord, ...]
    qrs_ms: Values
    fibrillation: NDArray[np.bool_]
    paced: NDArray[np.bool_]


def main() -> None:
    """Entry point of ``python -m training.checks``."""
    execute(ChecksConfig, write)


def write(config: ChecksConfig) -> None:
    """Measure everything and write the page."""
    estimator = Estimator.load(config.bundle)
    known = {i: entry for i, entry in entries(config.data).items() if entry.header_500_hz.is_file()}
    real = [read(entry.header_500_hz) for entry in known.values()]
    halves = {
        f"PTB-XL 1-{_LAST_SEEN}": [record for i, record in zip(known, real, strict=True) if i <= _LAST_SEEN],
        f"PTB-XL from {_LAST_SEEN + 1}": [record for i, record in zip(known, real, strict=True) if i > _LAST_SEEN],
    }
    few, many = simulated(config.patients, _SEED), simulated(config.patients_of_checks, _SEED + 1)
    sections = [
        "# Novelty and signal checks, measured\n\nWritten by `python -m training.checks`; docs/uncertainty.md says "
        f"what the checks are. {len(few.records)} and {len(many.records)} simulated ECGs that training never saw, and "
        f"{len(real)} ECGs of PTB-XL. Limits of the signal checks were set on ids 1-{_LAST_SEEN}, those of QRS, rhythm "
        "and pacing on all, so that their tables are not held out. No limit of novelty was set on PTB-XL; what it is "
        "told by was chosen on simulated ECGs, with an eye on these.",
        "## Novelty\n\n" + _novelty(estimator, few.records, halves),
        "## Withheld\n\n" + _withheld(estimator, {"simulated": few.records, **halves}),
        "## QRS width, rhythm, pacing\n\n" + _checks(many, list(known.values()), real),
        "## QRS width in ms\n\n" + _widths(many, list(known.values()), real, config.every),
    ]
    write_atomically(config.out, "\n\n".join(sections) + "\n")


def simulated(patients: int, seed: int) -> Simulated:
    """Of all conditions, with noise, published effects of potassium."""
    spec = CohortSpec(preset=Preset.PUBLISHED, prior=Prior.WIDE, n_patients=patients, visits_per_patient=1, seed=seed)
    batches = list(simulate_cohort(spec))
    columns = {name: np.concatenate([b.covariates[name] for b in batches]) for name in batches[0].covariates}
    rows = [row for batch in batches for row in batch.signal_mv]
    return Simulated(
        records=tuple(as_record(row, age_years=60) for row in rows),
        qrs_ms=columns["qrs_ms"].astype(np.float64),
        fibrillation=columns["atrial_fibrillation"].astype(np.bool_),
        paced=columns["qrs_kind"] == 4,
    )


def novelty(estimator: Estimator, record: EcgRecord) -> tuple[float, float]:
    """Distance and p-value, whatever the signal checks say; infinitely far, and 0, for what is no model input."""
    try:
        given = prepare(record, estimator.bundle.signal)
    except UnusableRecord:
        return np.inf, 0.0
    answer = estimator.novelty(given, estimator.outputs(given))
    return answer.distance, answer.p_value


def withheld(estimator: Estimator, record: EcgRecord) -> bool:
    """Whether there is no value."""
    try:
        return estimator.estimate(record).potassium_mmol_l is None
    except EcgError:
        return True


def altered(records: Sequence[EcgRecord], alteration: made.Alteration) -> list[EcgRecord]:
    """Each record altered, by a fixed seed."""
    rng = np.random.default_rng(_SEED)
    return [alteration(record, rng) for record in records]


def auroc(usual: Values, unusual: Values) -> float:
    """How often an unusual value exceeds a usual one."""
    return float((unusual[:, None] > usual).mean() + 0.5 * (unusual[:, None] == usual).mean())


def _novelty(estimator: Estimator, simulated_ecgs: Sequence[EcgRecord], real: Mapping[str, Sequence[EcgRecord]]) -> str:
    limit = estimator.bundle.policy.novelty_p
    found = {a.__name__: _distances(estimator, altered(simulated_ecgs, a)) for a in NOVEL}
    found |= {f"{name}, unchanged": _distances(estimator, records) for name, records in real.items()}
    usual = found["unchanged"][0]
    rows = [
        [name.replace("_", " "), str(len(p)), f"{auroc(usual, distance):.3f}", f"{(p <= limit).mean():.1%}"]
        for name, (distance, p) in found.items()
    ]
    note = (
        f"OUT_OF_DISTRIBUTION is raised at p <= {limit:g}; for unchanged simulated ECGs that is a false alarm, for all "
        "others a detection. Here the signal checks, which withhold most of these ECGs first, are left out. AUROC of "
        "the distance against unchanged simulated ECGs."
    )
    return note + "\n\n" + table(["simulated ECGs", "ECGs", "AUROC", "flagged"], rows)


def _distances(estimator: Estimator, records: Iterable[EcgRecord]) -> tuple[Values, Values]:
    pairs = np.array([novelty(estimator, record) for record in records])
    return pairs[:, 0], pairs[:, 1]


def _withheld(estimator: Estimator, of: Mapping[str, Sequence[EcgRecord]]) -> str:
    rows = []
    for alteration in BROKEN:
        shares = [
            float(np.mean([withheld(estimator, r) for r in altered(records, alteration)])) for records in of.values()
        ]
        rows.append([alteration.__name__.replace("_", " "), *(f"{share:.1%}" for share in shares)])
    note = "Share of ECGs without a value, by signal reasons alone: novelty only warns in a demonstration model."
    return note + "\n\n" + table(["ECGs", *of], rows)


def _checks(truth: Simulated, known: Sequence[Entry], real: Sequence[EcgRecord]) -> str:
    ours, theirs = ([assess(record).flags for record in records] for records in (truth.records, real))

    def coded(codes: frozenset[str]) -> NDArray[np.bool_]:
        return np.array([bool(codes & set(entry.statements)) for entry in known])

    rows = []
    for flag, is_true, codes in (
        (Flag.WIDE_QRS, truth.qrs_ms >= WIDE_MS, WIDE_CODES),
        (Flag.IRREGULAR_RHYTHM, truth.fibrillation, frozenset({"AFIB"})),
        (Flag.PACED_SUSPECTED, truth.paced, frozenset({"PACE"})),
    ):
        for name, flags, positive in (("simulated", ours, is_true), ("PTB-XL", theirs, coded(codes))):
            raised = np.array([flag in of for of in flags])
            rows.append([f"{flag}", name, _share(raised[positive]), _share(raised[~positive])])
    note = (
        "Found, of those that have it, and raised, of those that have not. True is, on simulated ECGs, QRS of 120 ms "
        f"or more, atrial fibrillation, pacing; on PTB-XL a code among {', '.join(sorted(WIDE_CODES))}; AFIB; PACE."
    )
    return note + "\n\n" + table(["flag", "ECGs", "found", "false alarms"], rows)


def _share(raised: NDArray[np.bool_]) -> str:
    return f"{int(raised.sum())} of {len(raised)}" + (f" ({raised.mean():.1%})" if len(raised) else "")


def _widths(truth: Simulated, known: Sequence[Entry], real: Sequence[EcgRecord], every: int) -> str:
    widths = np.array([assess(record).qrs_ms or np.nan for record in truth.records])
    wide = truth.qrs_ms >= WIDE_MS
    narrow = [i for i, entry in enumerate(known) if not WIDE_CODES & set(entry.statements)][::every]
    ours, theirs = [], []
    for record in (real[i] for i in narrow):
        quality = assess(record)
        ours.append(quality.qrs_ms or np.nan)
        theirs.append(full_report(record, quality).qrs_ms or np.nan)
    rows = [
        ["simulated, QRS below 120 ms", *_errors(widths[~wide] - truth.qrs_ms[~wide])],
        ["simulated, QRS of 120 ms or more", *_errors(widths[wide] - truth.qrs_ms[wide])],
        ["PTB-XL without a wide QRS, against neurokit2", *_errors(np.array(ours) - np.array(theirs))],
    ]
    return table(["", "ECGs", "median error", "median distance from it", "95 % of the distances"], rows)


def _errors(errors: Values) -> list[str]:
    known = errors[np.isfinite(errors)]
    distances = np.abs(known - np.median(known))
    return [
        f"{len(known)} of {len(errors)}",
        f"{np.median(known):+.0f}",
        f"{np.median(distances):.0f}",
        f"{np.quantile(distances, 0.95):.0f}",
    ]


if __name__ == "__main__":
    main()
