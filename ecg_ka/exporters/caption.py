"""The clinical page of an estimate: which words stand over the tracing."""

from __future__ import annotations

import re

from ecg_ka.estimate import BANDS_SENTENCE, DISCLAIMER, SEVERE_SENTENCE, Estimate, Interval
from ecg_ka.explanation import Explanation
from ecg_ka.exporters.page import PageCaption, page_svg
from ecg_ka.record import EcgRecord

_PAGE_S = 10.0
_QUANTITY = re.compile(r"K (?:>= |< )?\d\.\d|\d %|\d mmol/L")


def estimate_page(record: EcgRecord, estimate: Estimate, explanation: Explanation | None = None) -> str:
    """SVG page of the part of a record that the model looked at, with its estimate, and shaded where an explanation
    says which waves move it."""
    start = round(estimate.ecg.window_start_s * record.fs_hz)
    stop = start + round(_PAGE_S * record.fs_hz)
    shown = record.crop(start, min(stop, record.signal_mv.shape[1]))
    shifted = None if explanation is None else explanation.later(-start / record.fs_hz)
    return page_svg(shown, estimate_caption(estimate), shifted)


def estimate_caption(estimate: Estimate) -> PageCaption:
    """The number with its interval, what stands behind it, and the flags in sentences."""
    warnings = tuple(f"{flag}: {flag.sentence}" for flag in estimate.flags)
    if estimate.ecg.duration_s > _PAGE_S:
        start = estimate.ecg.window_start_s
        warnings = (*warnings, f"Shown: {start:.1f} to {start + _PAGE_S:.1f} s of {estimate.ecg.duration_s:.1f} s.")
    model = f"Model {estimate.model.name} {estimate.model.version} ({estimate.model.sha256[:12]}). {DISCLAIMER}"
    e = estimate
    if e.potassium_mmol_l is None or e.interval is None or e.probabilities is None or e.region is None:
        reasons = tuple(f"{reason[0].upper()}{reason[1:]}." for reason in e.abstain_reasons)
        return PageCaption(title="Potassium estimate withheld", lines=(*reasons, model), warnings=warnings)
    i = e.interval
    number = _together(f"K {e.potassium_mmol_l:.1f} mmol/L")
    title = f"{number}, {i.percent} interval {_bounds(i)}"
    shares = (f"P(K {p.comparator} {p.threshold_mmol_l:.1f}) {_share(p.p)}" for p in e.probabilities)
    probabilities = ", ".join(map(_together, shares))
    median = _together(f"{e.median_mmol_l:.1f} mmol/L")
    lines = (
        f"Estimated from the ECG, not measured. Calibrated median {median}; {probabilities}.",
        *_calibrated(e),
        _whole(
            f"Region: {e.region.name}-shot, {e.region.n_train_near} training ECGs within 0.1 mmol/L; "
            f"{100 * e.region.few_shot_share:.0f} % of the distribution lies in few-shot regions. "
            f"Signal: {e.quality.grade}."
        ),
        *_personal(e),
        model,
    )
    return PageCaption(title=title, lines=lines, warnings=warnings)


def _calibrated(estimate: Estimate) -> tuple[str, ...]:
    """How often the interval in the title holds dangerous values, the one that holds in every true region, the bands
    and the category."""
    marginal, by_label = estimate.interval, estimate.interval_label_conditional
    if marginal is None or by_label is None or estimate.bands is None or estimate.category is None:
        return ()
    bands = ", ".join(band.words for band in estimate.bands)
    severe = ", ".join(band.words for band in estimate.severe_bands or ()) or "none in the set"
    return (
        _whole(
            f"The interval above holds {_coverage(marginal)} of the calibration ECGs with K >= 5.5; the "
            f"label-conditional one, {_bounds(by_label)} mmol/L, {_coverage(by_label)}."
        ),
        _whole(f"Bands: {bands}; severe bands: {severe}. {BANDS_SENTENCE} {SEVERE_SENTENCE}"),
        _whole(f"{estimate.category}: {estimate.category.sentence}"),
    )


def _personal(estimate: Estimate) -> tuple[str, ...]:
    """What earlier pairs of the patient changed."""
    p = estimate.personal
    if p is None:
        return ()
    pairs = "1 earlier pair" if p.n_pairs == 1 else f"{p.n_pairs} earlier pairs"
    offset = f"{p.offset_mmol_l:+.2f} (SD {p.sd_mmol_l:.2f}) mmol/L"
    return (f"The patient's own offset of {offset}, from {pairs}, is taken off.",)


def _bounds(interval: Interval) -> str:
    return f"{interval.lower:.1f}\N{EN DASH}{interval.upper:.1f}"


def _coverage(interval: Interval) -> str:
    """The share of dangerous values that an interval holds."""
    share = interval.coverage_at_least_5_5
    return "an unknown share" if share is None else f"{100 * share:.0f} %"


def _whole(sentence: str) -> str:
    """A sentence whose ``K >= 5.5`` and ``59 %`` no line break parts."""
    return _QUANTITY.sub(lambda found: _together(found[0]), sentence)


def _together(text: str) -> str:
    """Text that no line break may part: half of ``P(K < 3.5) = 0.05`` says something else."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _share(p: float) -> str:
    """A probability; never 0.00 or 1.00, which would read as an exclusion or a certainty."""
    if p < 0.01:
        return "< 0.01"
    return f"= {p:.2f}" if p <= 0.99 else "> 0.99"
