"""The clinical page of an estimate: which words stand over the tracing."""

from __future__ import annotations

from ecg_ka.estimate import DISCLAIMER, Estimate
from ecg_ka.exporters.page import PageCaption, page_svg
from ecg_ka.record import EcgRecord

_PAGE_S = 10.0


def estimate_page(record: EcgRecord, estimate: Estimate) -> str:
    """SVG page of the part of a record that the model looked at, with its estimate."""
    start = round(estimate.ecg.window_start_s * record.fs_hz)
    stop = start + round(_PAGE_S * record.fs_hz)
    return page_svg(record.crop(start, min(stop, record.signal_mv.shape[1])), estimate_caption(estimate))


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
    title = f"{number}, {i.level:.0%} interval {i.lower:.1f}\N{EN DASH}{i.upper:.1f}"
    shares = (f"P(K {p.comparator} {p.threshold_mmol_l:.1f}) {_share(p.p)}" for p in e.probabilities)
    probabilities = ", ".join(map(_together, shares))
    median = _together(f"{e.median_mmol_l:.1f} mmol/L")
    lines = (
        f"Estimated from the ECG, not measured. Calibrated median {median}; {probabilities}.",
        f"Region: {e.region.name}-shot, {e.region.n_train_near} training ECGs within {_together('0.1 mmol/L')}. "
        f"Signal: {e.quality.grade}.",
        model,
    )
    return PageCaption(title=title, lines=lines, warnings=warnings)


def _together(text: str) -> str:
    """Text that no line break may part: half of ``P(K < 3.5) = 0.05`` says something else."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _share(p: float) -> str:
    """A probability; never 0.00, which would read as an exclusion."""
    return f"= {p:.2f}" if p >= 0.01 else "< 0.01"
