"""Answers as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ecg_ka.errors import EcgError
from ecg_ka.estimate import (
    BANDS_SENTENCE,
    DISCLAIMER,
    SEVERE_SENTENCE,
    Category,
    Estimate,
    Interval,
    ModelIdentity,
)
from ecg_ka.explanation import Explanation, Wave
from ecg_ka.flags import Flag
from ecg_ka.readers import registry

_HEAD = ("file", "K mmol/L", "interval", "median", "P(K>=5.5)", "P(K<3.5)", "region", "signal")
_LONGEST_NAME = 40
_LEADS_WIDTH = 31


def estimates_text(answers: Sequence[tuple[str, Estimate | EcgError]]) -> str:
    """A table of named answers, what is calibrated and the flags below each, all of it explained once, and the
    disclaimer."""
    rows = [_row(_short(name), answer) for name, answer in answers]
    full = [_HEAD, *(row for row in rows if len(row) == len(_HEAD))]
    widths = [max(len(row[i]) for row in full) for i in range(len(_HEAD))]
    widths[0] = max(len(row[0]) for row in (_HEAD, *rows))
    lines = [_aligned(_HEAD, widths)]
    for row, (_, answer) in zip(rows, answers, strict=True):
        lines.append(_aligned(row, widths))
        if isinstance(answer, Estimate):
            lines += [f"    {line}" for line in _calibrated(answer)]
            lines.append("    flags: " + (", ".join(answer.flags) or "none"))
            lines += [f"    note: {note}" for note in answer.ecg.notes]
    return "\n".join([*lines, "", *_explained([a for _, a in answers if isinstance(a, Estimate)]), "", DISCLAIMER])


def quality_text(report: Mapping[str, Any]) -> str:
    """What `ecg-ka quality` reports, lead by lead."""
    rate, width = report["heart_rate_bpm"], report["qrs_ms"]
    lines = [
        f"{report['grade']}, {report['n_beats']} beats{'' if rate is None else f', {rate:.0f}/min'}"
        f"{'' if width is None else f', QRS {width:.0f} ms'}, "
        f"{report['duration_s']:.1f} s",
        "lead  grade       noise uV  wander mV  amplitude mV  clipped  notes",
    ]
    for lead in report["leads"]:
        notes = ", ".join(name for name in ("flat", "disconnected", "inconsistent") if lead[name])
        lines.append(
            f"{lead['lead']:4}  {lead['grade']:10}  {lead['noise_uv']:8.1f}  {lead['wander_mv']:9.2f}  "
            f"{lead['amplitude_mv']:12.2f}  {lead['clipped_fraction']:7.1%}  {notes}".rstrip()
        )
    lines += [f"note: {note}" for note in report["notes"]]
    lines += [f"{flag['name']}: {flag['sentence']}" for flag in report["flags"]]
    if report["full"] is not None:
        lines += ["", "neurokit2:", *_nested(report["full"], "  ")]
    return "\n".join(lines)


def explanation_text(found: Explanation, flags: Sequence[Flag]) -> str:
    """What `ecg-ka explain` shows: waves across, lead groups down, changes in mmol/L; below, the estimate's flags."""
    groups = list(dict.fromkeys(effect.leads for effect in found.effects))
    changes = {(effect.wave, effect.leads): effect.change_mmol_l for effect in found.effects}
    lines = [
        f"K {found.potassium_mmol_l:.2f} mmol/L. Change of the estimate, in mmol/L, when P, QRS or ST is replaced by "
        "the record's own baseline, or T by a usual T (below zero: the wave raises the estimate; -: no such wave):",
        "",
        "leads".ljust(_LEADS_WIDTH) + "".join(f"{wave:>8}" for wave in Wave),
    ]
    for leads in groups:
        cells = [changes[wave, leads] for wave in Wave]
        numbers = "".join(f"{'-' if c is None else f'{c:+.2f}':>8}" for c in cells)
        lines.append(", ".join(leads).ljust(_LEADS_WIDTH) + numbers)
    note = "It tells how the network answers to a changed signal, not why the ECG looks as it does."
    said = [f"{flag}: {flag.sentence}" for flag in flags]
    return "\n".join([*lines, "", note, "", *said, "", DISCLAIMER])


def model_text(identity: ModelIdentity, metrics: Mapping[str, Any], sharing: str, *, is_simulated: bool) -> str:
    """What `ecg-ka info` says about a bundle; ``sharing`` says whether it may be shared."""
    m = metrics["model"]
    lines = [f"{name:21} {getattr(identity, name)}" for name in identity.__slots__]
    lines.append(f"{'may be shared':21} {sharing}")
    lines += [
        "",
        f"On {m['n']} {'simulated ' if is_simulated else ''}test ECGs: MAE {_measured(m['mae'], ' mmol/L')} "
        f"(predicting the median: {_measured(m['mae_of_the_median'])}), few-shot {_measured(m['mae_few'])}, "
        f"r {_measured(m['r'])}, AUROC K >= 5.5 {_measured(m['auroc']['>=5.5']['value'])}, "
        f"K < 3.5 {_measured(m['auroc']['<3.5']['value'])}",
    ]
    if is_simulated:
        lines.append(f"{Flag.DEMO_MODEL}: {Flag.DEMO_MODEL.sentence}")
    return "\n".join([*lines, "", DISCLAIMER])


def _measured(value: float | None, unit: str = "") -> str:
    """None where there was nothing to measure it on."""
    return "not measured" if value is None else f"{value:.3f}{unit}"


def formats_text() -> str:
    """What `ecg-ka formats` shows: each format, how it is known, what has to be given, and its limits."""
    lines = [f"{registry.LIMITS} Formats are known by their content; {registry.ARCHIVE} is read too.", ""]
    for kind in registry.FORMATS:
        lines += [
            kind.name,
            f"  known by  {kind.known_by}",
            f"  to give   {kind.to_give}",
            f"  limits    {kind.limits}",
        ]
    return "\n".join(lines)


def _row(name: str, answer: Estimate | EcgError) -> tuple[str, ...]:
    if isinstance(answer, EcgError):
        return name, f"refused: {answer.title}: {answer}"
    e = answer
    if e.potassium_mmol_l is None or e.interval is None or e.probabilities is None or e.region is None:
        return name, f"withheld: {'; '.join(e.abstain_reasons)}"
    p = {(q.comparator, q.threshold_mmol_l): q.p for q in e.probabilities}
    return (
        name,
        f"{e.potassium_mmol_l:.2f}",
        _bounds(e.interval),
        f"{e.median_mmol_l:.2f}",
        _share(p[">=", 5.5]),
        _share(p["<", 3.5]),
        e.region.name,
        e.quality.grade,
    )


def _calibrated(answer: Estimate) -> list[str]:
    """What does not fit in the row of an answer; nothing when it is withheld."""
    interval, by_label = answer.interval, answer.interval_label_conditional
    if interval is None or by_label is None or answer.bands is None or answer.category is None:
        return []
    return [
        f"interval: holds {_coverage(interval)} of calibration ECGs with K >= 5.5; "
        f"{_few_shot(answer)} of the distribution lies in few-shot regions",
        f"label-conditional interval: {_bounds(by_label)}; holds {_coverage(by_label)} of them",
        *_model_doubt(answer),
        f"bands: {', '.join(band.words for band in answer.bands)}; category: {answer.category}",
        f"severe bands: {', '.join(band.words for band in answer.severe_bands or ()) or 'none in the set'}",
        *_personal(answer),
    ]


def _personal(answer: Estimate) -> list[str]:
    """What earlier pairs of the patient changed."""
    p = answer.personal
    if p is None:
        return []
    return [
        f"personal: offset of {p.offset_mmol_l:+.2f} (SD {p.sd_mmol_l:.2f}) mmol/L, from {p.n_pairs} earlier "
        f"{'pair' if p.n_pairs == 1 else 'pairs'}, taken off the estimate"
    ]


def _few_shot(answer: Estimate) -> str:
    return "an unknown share" if answer.region is None else f"{answer.region.few_shot_share:.0%}"


def _model_doubt(answer: Estimate) -> list[str]:
    """Novelty, and how far the members of an ensemble are apart."""
    novelty, sd = answer.novelty, answer.epistemic_sd_mmol_l
    lines = [] if novelty is None else [f"novelty: {novelty.distance:.2f}, p {novelty.p_value:.2f}"]
    return lines if sd is None else [*lines, f"SD between the members of the model: {sd:.2f} mmol/L"]


def _explained(answers: Sequence[Estimate]) -> list[str]:
    flags = {flag for answer in answers for flag in answer.flags}
    categories = {answer.category for answer in answers}
    bands = [f"bands: {BANDS_SENTENCE} {SEVERE_SENTENCE}"] if any(answer.bands for answer in answers) else []
    return [
        *bands,
        *(f"{category}: {category.sentence}" for category in Category if category in categories),
        *(f"{flag}: {flag.sentence}" for flag in Flag if flag in flags),
    ]


def _bounds(interval: Interval) -> str:
    return f"{interval.lower:.2f}-{interval.upper:.2f} ({interval.percent})"


def _coverage(interval: Interval) -> str:
    """The share of dangerous values that an interval holds."""
    share = interval.coverage_at_least_5_5
    return "an unknown share" if share is None else f"{share:.0%}"


def _share(p: float) -> str:
    """A probability; never 0.000 or 1.000, which would read as an exclusion or a certainty."""
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p <= 0.999 else ">0.999"


def _short(name: str) -> str:
    """The end of a long path: it names the file."""
    return name if len(name) <= _LONGEST_NAME else "..." + name[3 - _LONGEST_NAME :]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()


def _nested(value: Any, indent: str) -> list[str]:
    """A nested report, one value a line."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    lines = []
    for key, item in items:
        if isinstance(item, Mapping | list | tuple):
            lines += [f"{indent}{key}:", *_nested(item, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {item:.3g}" if isinstance(item, float) else f"{indent}{key}: {item}")
    return lines
