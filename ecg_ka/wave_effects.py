"""explain(): how the estimate of a record changes when one wave of some leads is replaced."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ecg_ka.estimator import Estimator
from ecg_ka.explanation import Explanation, Wave, WaveEffect, WaveSpan
from ecg_ka.preprocess import ModelInput, filter_and_resample
from ecg_ka.record import EcgRecord
from ecg_ka.waves import Spans, delineate, replaced

_CHEST = ("V2", "V3", "V4", "V5")
LEAD_GROUPS = (("I",), ("II",), ("V1",), _CHEST, ("V6",), ("II", *_CHEST))
"""Leads whose waves are replaced together, beside all leads at once; the other 4 follow from I and II. The last group
is where a tall T is looked for: one lead alone moves the estimate little, since the others tell the same."""


def explain(estimator: Estimator, record: EcgRecord, *, age_years: float | None = None) -> Explanation:
    """The effect of P, QRS, ST and T(U) on the estimate of a record, in each lead group and in all leads at once.

    Takes a few tenths of a second and neurokit2 (extra ``quality``); ``age_years`` as for an estimate.

    Raises:
        MissingDependency: neurokit2 is not installed.
        UnusableRecord: the estimate would be withheld, or the waves cannot be told apart.
        ValueError: an age outside the range.
    """
    used = estimator.usable_window(record, age_years)
    spans = delineate(used.record, used.quality.r_peaks)
    probe = _Probe(estimator, used.record, used.model_input, spans, used.potassium_mmol_l)
    return Explanation(
        potassium_mmol_l=probe.before,
        effects=tuple(effect for wave in Wave for effect in probe.effects(wave)),
        spans=tuple(
            WaveSpan(
                wave=wave,
                start_s=used.start_s + int(first) / record.fs_hz,
                stop_s=used.start_s + int(last) / record.fs_hz,
            )
            for wave in Wave
            for first, last in probe.spans.get(wave, ())
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Probe:
    """A record, its model input, its waves, and the estimate ``before`` any change."""

    estimator: Estimator
    window: EcgRecord
    whole: ModelInput
    spans: Spans
    before: float

    def effects(self, wave: Wave) -> list[WaveEffect]:
        """Of one wave in each group of the leads that the model sees."""
        leads = self.estimator.bundle.signal.leads
        live = tuple(lead for lead, on in zip(leads, self.whole.lead_mask, strict=True) if on)
        kept = (tuple(lead for lead in group if lead in live) for group in LEAD_GROUPS)
        groups = [*(group for group in kept if group), live]
        if wave not in self.spans:
            return [WaveEffect(wave=wave, leads=group, change_mmol_l=None) for group in groups]
        other = self._with_other(wave, live)
        return [WaveEffect(wave=wave, leads=group, change_mmol_l=self._change(other, group)) for group in groups]

    def _with_other(self, wave: Wave, leads: tuple[str, ...]) -> ModelInput:
        """The model input with a wave replaced in all leads that the model sees."""
        spec = self.estimator.bundle.signal
        n_in = round(spec.duration_s * self.window.fs_hz)
        rows = [self.window.leads.index(lead) for lead in leads]
        other = replaced(self.window, self.spans, wave)[rows, :n_in]
        signal_mv = self.whole.signal_mv.copy()
        filtered = filter_and_resample(other, self.window.fs_hz, spec)
        signal_mv[self.whole.lead_mask, : filtered.shape[1]] = filtered
        return replace(self.whole, signal_mv=signal_mv)

    def _change(self, other: ModelInput, group: tuple[str, ...]) -> float:
        """What it does to take the leads of one group from the altered input."""
        rows = [self.estimator.bundle.signal.leads.index(lead) for lead in group]
        signal_mv = self.whole.signal_mv.copy()
        signal_mv[rows] = other.signal_mv[rows]
        return self.estimator.infer(replace(self.whole, signal_mv=signal_mv))[0] - self.before
