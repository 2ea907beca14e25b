"""From a record to an estimate: the only place that composes window choice, signal path, network and calibration."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecg_ka.bundle import SHIPPED, Bundle, load_bundle
from ecg_ka.errors import BundleError, UnusableRecord
from ecg_ka.estimate import (
    Band,
    Category,
    Distribution,
    EcgProvenance,
    Estimate,
    Interval,
    Novelty,
    PatientOffset,
    Probability,
    QualitySummary,
    Region,
    SevereBand,
)
from ecg_ka.findings import OLDEST_YEARS, age_notes, novelty_finding, recording_findings
from ecg_ka.flags import Flag
from ecg_ka.preprocess import ModelInput, SignalSpec, to_model_input
from ecg_ka.quality import SignalQuality, assess, cleanest_window
from ecg_ka.record import EcgRecord
from ecg_ka.uncertainty import LIMITS_MMOL_L, Predictive, fingerprint

if TYPE_CHECKING:
    import onnxruntime

THRESHOLDS = ((">=", 5.5), (">=", 6.0), (">=", 6.5), ("<", 3.5), ("<", 3.0))
"""Probabilities that every answer carries, in mmol/L."""

_FEW_SHOT_SHARE = 0.10  # of the predictive distribution: from here on INTERVAL_REACHES_FEW_SHOT is raised
_USUAL_LEVEL = 0.9  # at which an interval is called wide
_BEYOND_MMOL_L = 0.5  # between estimate and calibrated median: from here on ESTIMATE_BEYOND_CALIBRATED is raised


def choose_window(record: EcgRecord, spec: SignalSpec) -> tuple[EcgRecord, float]:
    """The part of a record that the model looks at, and where it starts in seconds: the cleanest ``spec.duration_s``
    of a longer record, else all of it."""
    window = cleanest_window(record, spec.duration_s)
    return record.crop(window.start, window.stop), window.start / record.fs_hz


def prepare(record: EcgRecord, spec: SignalSpec) -> ModelInput:
    """The network's input for a record; training and serving both call this.

    Raises:
        UnusableRecord: see :func:`ecg_ka.preprocess.to_model_input`.
    """
    return to_model_input(choose_window(record, spec)[0], spec)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outputs:
    """What the network gives for one ECG: the mean over the members, their standard deviation (None for a single one),
    and the peaks (E / 4,) of the first member's features."""

    potassium_mmol_l: float
    spread_mmol_l: float
    epistemic_sd_mmol_l: float | None
    peaks: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """The part of a record that the network sees, its quality, where in the record it starts, the network's input and
    what the network gives for it, without history."""

    record: EcgRecord
    quality: SignalQuality
    start_s: float
    model_input: ModelInput
    potassium_mmol_l: float


class Estimator:
    """A loaded model bundle that turns records into estimates. Build it once; it is safe to share between threads.

    Records go through the network one at a time on purpose: the answer for an ECG must not depend, to the last bit, on
    which others are estimated with it.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        self.bundle = bundle
        self._session = _session(bundle, threads)

    @classmethod
    def load(cls, folder: str | Path = SHIPPED, *, threads: int = 1) -> Estimator:
        """From a bundle folder; without an argument the shipped demonstration model.

        Raises:
            BundleError: the folder holds no valid bundle.
        """
        return cls(load_bundle(Path(folder)), threads=threads)

    def estimate(
        self,
        record: EcgRecord,
        *,
        level: float = 0.9,
        personal: PatientOffset | None = None,
        age_years: float | None = None,
    ) -> Estimate:
        """The estimate for one record, with an interval of the given level (0.5 to 0.99); ``personal`` is what
        :meth:`personalize` found in earlier ECGs of the same patient, ``age_years`` what the caller knows beside the
        file: under 18 by either withholds the value.

        Raises:
            UnusableRecord: leads, length or activity do not suffice.
            BundleError: ``personal`` is given, and the bundle holds no variance components.
            ValueError: a level, or an age, outside the range.
        """
        if not 0.5 <= level <= 0.99:
            raise ValueError(f"level {level}; expected 0.5 to 0.99, such as 0.9")
        _refuse_no_age(age_years)
        if personal is not None and self.bundle.personal is None:
            raise BundleError("this bundle knows no patients; personal has to come from its own personalize()")
        started = time.perf_counter()
        window, start_s = choose_window(record, self.bundle.signal)
        quality = assess(window)
        model_input = to_model_input(window, self.bundle.signal)
        findings = recording_findings(record, quality, self.bundle.signal, age_years)
        reasons, value, novelty = self.bundle.policy.reasons(findings), _Value(), None
        if not reasons:
            outputs, novelty = self._seen(model_input)
            findings += novelty_finding(novelty.p_value, self.bundle.policy.novelty_p)
            reasons = self.bundle.policy.reasons(findings)
            value = _Value() if reasons else self._value(outputs, level, personal)
        flags = model_input.flags | quality.flags | value.flags | _record_flags(self.bundle, record)
        flags |= {finding.flag for finding in findings}
        return Estimate(
            potassium_mmol_l=value.potassium_mmol_l,
            median_mmol_l=value.median_mmol_l,
            epistemic_sd_mmol_l=value.epistemic_sd_mmol_l,
            interval=value.interval,
            interval_label_conditional=value.interval_label_conditional,
            probabilities=value.probabilities,
            distribution=value.distribution,
            category=value.category,
            bands=value.bands,
            severe_bands=value.severe_bands,
            region=value.region,
            personal=personal,
            flags=tuple(flag for flag in Flag if flag in flags),
            abstained=bool(reasons),
            abstain_reasons=reasons,
            quality=_summary(window, quality),
            novelty=novelty,
            ecg=_provenance(record, start_s, quality.notes + age_notes(record.source.age_years, age_years)),
            model=self.bundle.identity(),
            timing_ms=1000 * (time.perf_counter() - started),
        )

    def estimate_many(self, records: Iterable[EcgRecord], *, level: float = 0.9) -> list[Estimate]:
        """The estimates of several records, each as :meth:`estimate` gives it alone."""
        return [self.estimate(record, level=level) for record in records]

    def personalize(self, history: Iterable[tuple[EcgRecord, float]]) -> PatientOffset:
        """The offset of one patient, from earlier records and the potassium in mmol/L that was measured with each.
        Nothing is kept, and one record is looked at after the other: give the result to :meth:`estimate` for a later
        ECG of the same patient.

        Raises:
            BundleError: the bundle holds no variance components.
            UnusableRecord: an earlier record would get no estimate.
            ValueError: no pair, or a potassium outside 1 to 12 mmol/L.
        """
        components = self.bundle.personal
        if components is None:
            raise BundleError(
                "this bundle does not know how much patients differ, so earlier ECGs cannot be used. Calibrate it with "
                "python -m training.calibrate on a cohort with several ECGs a patient"
            )
        estimates, measured = [], []
        for number, (record, potassium) in enumerate(history, 1):
            if not LIMITS_MMOL_L[0] <= potassium <= LIMITS_MMOL_L[1]:
                raise ValueError(f"earlier potassium {potassium}; expected values from 1 to 12 mmol/L")
            estimates.append(self._earlier(record, number))
            measured.append(potassium)
        if not measured:
            raise ValueError("there is no earlier ECG; expected at least one, with its potassium")
        return components.offset(estimates, measured)

    def _earlier(self, record: EcgRecord, number: int) -> float:
        try:
            return self.usable_window(record).potassium_mmol_l
        except UnusableRecord as error:
            raise UnusableRecord(
                f"earlier ECG {number} cannot be used: {error}. Leave it out of the history"
            ) from error

    def usable_window(self, record: EcgRecord, age_years: float | None = None) -> Window:
        """What of a record an estimate is made from; ``age_years`` as in :meth:`estimate`.

        Raises:
            UnusableRecord: its signal, the patient's age, or its novelty withholds the estimate.
            ValueError: an age outside the range.
        """
        _refuse_no_age(age_years)
        policy, spec = self.bundle.policy, self.bundle.signal
        window, start_s = choose_window(record, spec)
        quality = assess(window)
        _refuse_withheld(policy.reasons(recording_findings(record, quality, spec, age_years)))
        model_input = to_model_input(window, spec)
        outputs, novelty = self._seen(model_input)
        _refuse_withheld(policy.reasons(novelty_finding(novelty.p_value, policy.novelty_p)))
        return Window(
            record=window,
            quality=quality,
            start_s=start_s,
            model_input=model_input,
            potassium_mmol_l=outputs.potassium_mmol_l,
        )

    def infer(self, model_input: ModelInput) -> tuple[float, float]:
        """Potassium and spread in mmol/L as the network gives them for one input."""
        found = self.outputs(model_input)
        return found.potassium_mmol_l, found.spread_mmol_l

    def outputs(self, model_input: ModelInput) -> Outputs:
        """All that the network gives for one input."""
        inputs = {"signal_mv": model_input.signal_mv[None]}
        potassium, spread, peaks, *epistemic = self._session.run(_output_names(self.bundle), inputs)
        return Outputs(
            potassium_mmol_l=float(potassium[0]),
            spread_mmol_l=float(spread[0]),
            epistemic_sd_mmol_l=float(epistemic[0][0]) if epistemic else None,
            peaks=peaks[0],
        )

    def novelty(self, model_input: ModelInput, outputs: Outputs) -> Novelty:
        """How far an input with these outputs lies from what the network was trained on."""
        found = fingerprint(model_input.signal_mv, self.bundle.signal.fs_hz)
        return self.bundle.novelty.novelty(outputs.peaks, found)

    def _seen(self, model_input: ModelInput) -> tuple[Outputs, Novelty]:
        """Both; the fingerprint comes first, because the network pushes the input out of the cache."""
        found = fingerprint(model_input.signal_mv, self.bundle.signal.fs_hz)
        outputs = self.outputs(model_input)
        return outputs, self.bundle.novelty.novelty(outputs.peaks, found)

    def _value(self, outputs: Outputs, level: float, personal: PatientOffset | None) -> _Value:
        potassium, spread = outputs.potassium_mmol_l, outputs.spread_mmol_l
        calibration = self.bundle.calibration
        predictive = calibration.distribution.predict(potassium, spread)
        if personal is not None and self.bundle.personal is not None:
            predictive = self.bundle.personal.sharpen(predictive, potassium, personal)
            potassium -= personal.offset_mmol_l
        interval, median = predictive.interval(level), predictive.median()
        probabilities = predictive.probabilities(THRESHOLDS)
        usual = interval if level == _USUAL_LEVEL else predictive.interval(_USUAL_LEVEL)
        width = usual.upper - usual.lower
        region = _region(self.bundle, potassium, predictive, interval)
        raised = {
            Flag.FEW_SHOT_REGION: region.name == "few",
            Flag.INTERVAL_REACHES_FEW_SHOT: region.few_shot_share >= _FEW_SHOT_SHARE,
            Flag.WIDE_INTERVAL: width > self.bundle.wide_interval_mmol_l,
            Flag.ESTIMATE_BEYOND_CALIBRATED: abs(potassium - median) > _BEYOND_MMOL_L,
        }
        return _Value(
            potassium_mmol_l=potassium,
            median_mmol_l=median,
            epistemic_sd_mmol_l=outputs.epistemic_sd_mmol_l,
            interval=interval,
            interval_label_conditional=calibration.label_conditional.interval(potassium, level),
            category=calibration.operating_points.category(probabilities),
            bands=calibration.label_conditional.bands(potassium, spread),
            severe_bands=calibration.label_conditional.severe_bands(potassium, spread),
            probabilities=probabilities,
            distribution=predictive.in_steps(),
            region=region,
            flags=frozenset(flag for flag, is_raised in raised.items() if is_raised),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """The part of an answer that is withheld together."""

    potassium_mmol_l: float | None = None
    median_mmol_l: float | None = None
    epistemic_sd_mmol_l: float | None = None
    interval: Interval | None = None
    interval_label_conditional: Interval | None = None
    category: Category | None = None
    bands: tuple[Band, ...] | None = None
    severe_bands: tuple[SevereBand, ...] | None = None
    probabilities: tuple[Probability, ...] | None = None
    distribution: Distribution | None = None
    region: Region | None = None
    flags: frozenset[Flag] = frozenset()


def _refuse_no_age(age_years: float | None) -> None:
    if age_years is not None and not 0 <= age_years <= OLDEST_YEARS:
        raise ValueError(f"age_years {age_years:g}; expected 0 to {OLDEST_YEARS:g}, or None where it is not known")


def _refuse_withheld(reasons: tuple[str, ...]) -> None:
    if reasons:
        raise UnusableRecord(f"its estimate is withheld: {'; '.join(reasons)}")


def _region(bundle: Bundle, potassium: float, predictive: Predictive, interval: Interval) -> Region:
    step = predictive.label_step_mmol_l
    return Region(
        name=bundle.regions.name(potassium),
        training_density=bundle.density.density(potassium),
        n_train_near=bundle.density.n_near(potassium),
        interval_reaches=bundle.regions.reached(interval.lower, interval.upper, step),
        few_shot_share=predictive.share_outside(bundle.regions.few_low, bundle.regions.few_high),
    )


def _record_flags(bundle: Bundle, record: EcgRecord) -> frozenset[Flag]:
    raised = {
        Flag.DEMO_MODEL: bundle.provenance.is_simulated,
        Flag.WINDOW_CHOSEN: record.duration_s > bundle.signal.duration_s,
    }
    return frozenset(flag for flag, is_raised in raised.items() if is_raised)


def _summary(window: EcgRecord, quality: SignalQuality) -> QualitySummary:
    grades = {lead: str(q.grade) for lead, q in zip(window.leads, quality.leads, strict=True)}
    return QualitySummary(
        grade=str(quality.grade), leads=grades, heart_rate_bpm=quality.heart_rate_bpm, qrs_ms=quality.qrs_ms
    )


def _provenance(record: EcgRecord, window_start_s: float, notes: tuple[str, ...]) -> EcgProvenance:
    source = record.source
    return EcgProvenance(
        sha256=source.sha256,
        format=source.format,
        device=source.device,
        acquired_at=source.acquired_at.isoformat() if source.acquired_at else None,
        fs_in_hz=record.fs_hz,
        units_in=source.units_in,
        leads_found=tuple(lead for lead in record.leads if lead not in record.leads_derived),
        leads_derived=record.leads_derived,
        duration_s=record.duration_s,
        window_start_s=window_start_s,
        notes=source.notes + notes,
    )


def _session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at import: its wheels report to their maker otherwise
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(bundle.onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises unrelated classes for a graph that it cannot load
        raise BundleError(f"the ONNX graph of the bundle cannot be loaded: {error}") from error
    shape = session.get_inputs()[0].shape[1:]
    expected = [len(bundle.signal.leads), bundle.signal.n_samples]
    if shape != expected:
        raise BundleError(f"the ONNX graph takes {shape}; its signal spec gives {expected}. Export the bundle again")
    _refuse_misfit(bundle, {output.name: output.shape for output in session.get_outputs()})
    return session


def _refuse_misfit(bundle: Bundle, shapes: Mapping[str, Sequence[object]]) -> None:
    """What the graph gives has to be what the rest of the bundle takes."""
    missing = set(_output_names(bundle)) - set(shapes)
    if missing:
        raise BundleError(f"the ONNX graph does not give {sorted(missing)}. Export the bundle again")
    blank = np.zeros((len(bundle.signal.leads), bundle.signal.n_samples), dtype=np.float32)
    expected = bundle.novelty.mean.size - fingerprint(blank, bundle.signal.fs_hz).values.size
    width = shapes["peaks"][-1]
    if isinstance(width, int) and width != expected:  # a graph of several members does not state it
        raise BundleError(f"the ONNX graph gives {width} peaks; the novelty part takes {expected}")


def _output_names(bundle: Bundle) -> list[str]:
    names = ["potassium_mmol_l", "spread_mmol_l", "peaks"]
    return [*names, "epistemic_sd_mmol_l"] if bundle.members > 1 else names
