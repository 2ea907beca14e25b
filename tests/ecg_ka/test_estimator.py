"""From a record to an estimate: the same answer alone and in company, from torch and from ONNX, and honest flags."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from ecg_ka import (
    BANDS_SENTENCE,
    Band,
    Category,
    Estimate,
    Estimator,
    Flag,
    SignalSpec,
    UnusableRecord,
    explain,
    prepare,
    read,
)
from ecg_ka.errors import FlatSignal, MissingLeads, TooShort
from ecg_ka.network import NetworkConfig, PotassiumNet
from ecg_ka.record import LEADS, EcgRecord, Source
from ecg_ka.simulator import CohortSpec, Preset, Prior, draw_patient, simulate, simulate_batch
from ecg_ka.uncertainty import band_index
from tests.ecg_ka.ecgs import ecg
from training.cohort import to_mv
from training.cohort.simulated import make_part


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


def altered(record: EcgRecord, signal_mv: NDArray[np.floating]) -> EcgRecord:
    return replace(record, signal_mv=np.ascontiguousarray(signal_mv, dtype=np.float32))


def without_time(answer: Estimate) -> Estimate:
    return replace(answer, timing_ms=0.0)


def test_alone_in_a_batch_and_among_outliers_the_answer_is_the_same_to_the_bit(estimator: Estimator) -> None:
    one = ecg(7, 5.8)
    wild = altered(one, one.signal_mv * 4)
    alone = without_time(estimator.estimate(one))
    batch = estimator.estimate_many([*(ecg(seed) for seed in range(31)), one, *([wild] * 32)])
    assert without_time(batch[31]) == alone
    assert without_time(estimator.estimate_many([wild, one, wild])[1]) == alone


def test_torch_and_onnx_agree(estimator: Estimator) -> None:
    network = PotassiumNet(NetworkConfig.from_dict(estimator.bundle.network))
    network.load_state_dict(load(estimator.bundle.weights))
    network.eval()
    for seed in range(12):
        model_input = prepare(ecg(seed, 3.0 + 0.4 * seed), estimator.bundle.signal)
        with torch.no_grad():
            out = network(torch.from_numpy(model_input.signal_mv[None]))
        served = estimator.outputs(model_input)
        assert estimator.infer(model_input) == (served.potassium_mmol_l, served.spread_mmol_l)
        assert served.potassium_mmol_l == pytest.approx(float(out.potassium_mmol_l), abs=1e-3)
        assert served.spread_mmol_l == pytest.approx(float(out.spread_mmol_l), abs=1e-3)
        np.testing.assert_allclose(served.peaks, out.peaks[0].numpy(), atol=1e-3)


def test_estimates_rise_with_potassium_in_the_median_patient(estimator: Estimator) -> None:
    levels = (2.5, 3.2, 4.2, 6.0, 7.5)
    rows = []
    for seed in range(50):
        patient = draw_patient(seed + 10_000, Preset.PUBLISHED)
        rows.append([estimator.infer(prepare(simulate(patient, k, seed), estimator.bundle.signal))[0] for k in levels])
    medians = np.median(rows, axis=0)
    assert (np.diff(medians) > 0).all(), medians
    assert medians[-1] - medians[0] > 2.0


def test_every_answer_is_consistent_in_itself(estimator: Estimator) -> None:
    for seed, k in enumerate((2.4, 3.3, 4.2, 5.6, 7.0, 8.2)):
        e = estimator.estimate(ecg(seed, k), level=0.9)
        assert e.interval is not None
        assert e.probabilities is not None
        assert e.region is not None
        assert e.potassium_mmol_l is not None
        assert e.interval.lower <= (e.median_mmol_l or 0) <= e.interval.upper
        p = {(q.comparator, q.threshold_mmol_l): q.p for q in e.probabilities}
        assert p[">=", 5.5] >= p[">=", 6.0] >= p[">=", 6.5]
        assert p["<", 3.5] >= p["<", 3.0]
        assert p["<", 3.5] + p[">=", 5.5] <= 1
        assert e.distribution is not None
        assert sum(e.distribution.p) == pytest.approx(1)
        starts = e.distribution.lower_mmol_l + e.distribution.step_mmol_l * np.arange(len(e.distribution.p))
        few = (starts < 3.2 - 1e-6) | (starts > 5.3 + 1e-6)
        assert e.region.few_shot_share == pytest.approx(np.array(e.distribution.p)[few].sum(), abs=2e-3)
        assert (Flag.FEW_SHOT_REGION in e.flags) == (e.region.name == "few")
        assert (Flag.INTERVAL_REACHES_FEW_SHOT in e.flags) == (e.region.few_shot_share >= 0.1)
        assert e.interval_label_conditional is not None
        assert e.interval_label_conditional.lower <= e.potassium_mmol_l <= e.interval_label_conditional.upper
        assert e.interval.method == "marginal"
        assert e.interval_label_conditional.method == "label_conditional"
        assert list(Band)[int(band_index(e.potassium_mmol_l))] in (e.bands or ())
        points = estimator.bundle.calibration.operating_points
        assert (e.category is Category.ALARM_5_5_AND_ABOVE) == (p[">=", 5.5] > points.at_least_5_5)
        assert e.category is not Category.ALARM_BELOW_3_5 or p["<", 3.5] > points.below_3_5
        beyond = abs(e.potassium_mmol_l - (e.median_mmol_l or 0)) > 0.5
        assert (Flag.ESTIMATE_BEYOND_CALIBRATED in e.flags) == beyond
        assert Flag.DEMO_MODEL in e.flags
        assert "not a medical device" in e.disclaimer


def test_a_wider_level_gives_a_wider_interval(estimator: Estimator) -> None:
    record = ecg(3)
    answers = [estimator.estimate(record, level=level) for level in (0.5, 0.8, 0.9, 0.95)]
    for name in ("interval", "interval_label_conditional"):
        intervals = [getattr(answer, name) for answer in answers]
        assert [interval.level for interval in intervals] == [0.5, 0.8, 0.9, 0.95]
        for what in ([i.upper - i.lower for i in intervals], [i.coverage_at_least_5_5 for i in intervals]):
            assert what == sorted(what)
    with pytest.raises(ValueError, match="level"):
        estimator.estimate(record, level=1.0)


def test_no_answer_calls_a_patient_well_or_suggests_a_treatment(estimator: Estimator) -> None:
    text = str(estimator.estimate(ecg(1)).to_dict()).lower()
    text += " ".join((BANDS_SENTENCE, *(c.sentence for c in Category), *(f.sentence for f in Flag))).lower()
    text += str((list(Category), list(Band), [band.words for band in Band])).lower()
    for word in ("normal", "ruled out", "excluded", "healthy", "treat", "calcium", "insulin", "no risk"):
        assert word not in text


def test_the_answer_in_json_types_has_every_field(estimator: Estimator) -> None:
    estimate = estimator.estimate(ecg(1))
    answer = estimate.to_dict()
    assert set(answer) == {field.name for field in fields(Estimate)}
    assert repr(answer | {"flags": None}) == repr(json.loads(json.dumps(asdict(estimate))) | {"flags": None})
    assert answer["quality"]["leads"] is not estimate.quality.leads
    assert {"name": "DEMO_MODEL", "sentence": Flag.DEMO_MODEL.sentence} in answer["flags"]


def test_numbers_of_numpy_are_numbers(estimator: Estimator) -> None:
    record = replace(ecg(1), fs_hz=np.float64(500))
    told = (estimator.estimate(record, level=level).to_dict() for level in (np.float64(0.8), 0.8))
    one, other = ({**answer, "timing_ms": 0} for answer in told)
    assert one == other
    assert json.loads(json.dumps(one)) == one


def test_a_long_record_is_estimated_from_its_cleanest_ten_seconds(estimator: Estimator) -> None:
    clean = ecg(5)
    noise = np.random.default_rng(0).normal(0, 0.5, clean.signal_mv.shape).astype(np.float32)
    long = altered(clean, np.concatenate([clean.signal_mv + noise, clean.signal_mv], axis=1))
    answer = estimator.estimate(long)
    assert answer.ecg.window_start_s == 10.0
    assert Flag.WINDOW_CHOSEN in answer.flags
    assert answer.potassium_mmol_l == estimator.estimate(clean).potassium_mmol_l


def test_noise_implausible_gain_and_childhood_withhold_every_value(estimator: Estimator) -> None:
    record = ecg(2)
    noise = np.random.default_rng(1).normal(0, 0.4, record.signal_mv.shape)
    child = replace(record, source=replace(record.source, age_years=7.0))
    for bad, flag in (
        (altered(record, noise), Flag.LOW_QUALITY),
        (altered(record, record.signal_mv * 1000), Flag.IMPLAUSIBLE_AMPLITUDE),
        (altered(record, record.signal_mv / 50), Flag.IMPLAUSIBLE_AMPLITUDE),
        (child, Flag.AGE_OUT_OF_RANGE),
    ):
        answer = estimator.estimate(bad)
        assert answer.abstained
        assert answer.abstain_reasons
        assert flag in answer.flags
        withheld = (answer.potassium_mmol_l, answer.median_mmol_l, answer.interval, answer.probabilities, answer.region)
        assert withheld == (None,) * 5
        assert (answer.interval_label_conditional, answer.category, answer.bands) == (None,) * 3


@pytest.mark.parametrize(
    ("of_file", "of_caller", "raised", "reasons"),
    [
        (None, None, True, ()),
        (64.0, None, False, ()),
        (None, 18.0, False, ()),
        (64.0, 64.9, False, ()),
        (64.0, 46.0, True, ()),
        (7.0, None, True, ("the patient is 7 years old by the file; the model is meant for adults",)),
        (64.0, 17.9, True, ("the patient is 17.9 years old by the caller; the model is meant for adults",)),
        (7.0, 64.0, True, ("the patient is 7 years old by the file; the model is meant for adults",)),
        (
            7.0,
            8.0,
            True,
            ("the patient is 7 years old by the file and 8 years old by the caller; the model is meant for adults",),
        ),
    ],
)
def test_under_18_by_file_or_caller_is_withheld_and_a_contradiction_is_told(
    estimator: Estimator, of_file: float | None, of_caller: float | None, raised: bool, reasons: tuple[str, ...]
) -> None:
    record = replace(ecg(2), source=replace(ecg(2).source, age_years=of_file))
    answer = estimator.estimate(record, age_years=of_caller)
    assert (Flag.AGE_OUT_OF_RANGE in answer.flags) == raised
    assert answer.abstain_reasons == reasons
    assert (answer.potassium_mmol_l is None) == bool(reasons)
    told = any("whose ECG is it" in note for note in answer.ecg.notes)
    assert told == (None not in (of_file, of_caller) and abs((of_file or 0) - (of_caller or 0)) > 1)


@pytest.mark.parametrize("age_years", [-1.0, 121.0, float("nan")])
def test_an_age_that_is_none_is_refused(estimator: Estimator, age_years: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to 120"):
        estimator.estimate(ecg(2), age_years=age_years)
    with pytest.raises(ValueError, match="expected 0 to 120"):
        explain(estimator, ecg(2), age_years=age_years)


def test_a_limb_lead_without_a_heartbeat_withholds_the_value(estimator: Estimator) -> None:
    """An electrode that is off leaves noise, from which no potassium can be read."""
    record = ecg(2)
    rows = record.signal_mv.copy()
    rows[0] = np.random.default_rng(3).normal(0, 0.02, rows.shape[1])
    answer = estimator.estimate(altered(record, rows))
    assert answer.potassium_mmol_l is None
    assert answer.abstain_reasons == ("no heartbeat in lead I; check the electrodes",)


def test_low_quality_is_about_every_lead_of_the_recording_and_says_so(estimator: Estimator) -> None:
    record = ecg(2)
    rows = record.signal_mv.copy()
    unread = record.leads.index("aVL")
    rows[unread] += np.random.default_rng(3).normal(0, 0.1, rows.shape[1])
    clean, noisy = estimator.estimate(record), estimator.estimate(altered(record, rows))
    assert noisy.potassium_mmol_l == clean.potassium_mmol_l
    assert set(noisy.flags) - set(clean.flags) == {Flag.LOW_QUALITY, Flag.INCONSISTENT_LEADS}
    assert "one that the model reads or another" in Flag.LOW_QUALITY.sentence


def test_what_cannot_be_estimated_is_an_error_of_its_own(estimator: Estimator) -> None:
    record = ecg(2)
    one_lead = EcgRecord.from_leads(record.signal_mv[1:2], ("II",), fs_hz=500, source=record.source)
    for bad, error in (
        (record.crop(0, 1500), TooShort),
        (altered(record, np.zeros_like(record.signal_mv)), FlatSignal),
        (one_lead, MissingLeads),
    ):
        with pytest.raises(error) as raised:
            estimator.estimate(bad)
        assert isinstance(raised.value, UnusableRecord)


def test_training_and_serving_tensors_are_identical() -> None:
    """What the cohort builder stores of a simulated ECG is, to the bit, what serving makes of the same samples."""
    spec = CohortSpec(preset=Preset.PUBLISHED, prior=Prior.WIDE, n_patients=4, visits_per_patient=1, seed=3)
    stored = to_mv(make_part(spec, SignalSpec(), 0).steps)
    source = Source(format="test", sha256="", units_in="mV")
    for row, signal in zip(stored, simulate_batch(spec, 0).signal_mv, strict=True):
        served = prepare(EcgRecord(signal_mv=signal, leads=LEADS, fs_hz=500.0, source=source), SignalSpec())
        np.testing.assert_array_equal(row, served.signal_mv)


@pytest.mark.shared
def test_every_ptbxl_record_is_estimated_or_withheld_with_a_reason(estimator: Estimator, shared_data: Path) -> None:
    """All records; and the 100 Hz twin of a record gets nearly the same estimate."""
    estimates = {}
    for header in sorted((shared_data / "ptbxl" / "records500").glob("*.hea")):
        answer = estimator.estimate(read(header))
        assert answer.abstained == bool(answer.abstain_reasons) == (answer.potassium_mmol_l is None)
        estimates[header.name[:5]] = answer.potassium_mmol_l
    given = [value for value in estimates.values() if value is not None]
    assert len(estimates) >= 200
    assert len(given) >= 0.9 * len(estimates)
    assert np.std(given) > 0.25  # a model that says the same for everyone is of no use
    differences = []
    for header in sorted((shared_data / "ptbxl" / "records100").glob("*.hea")):
        twin, original = estimator.estimate(read(header)).potassium_mmol_l, estimates[header.name[:5]]
        if twin is not None and original is not None:
            differences.append(abs(twin - original))
    assert np.median(differences) <= 0.15


def test_a_wide_interval_is_flagged_where_the_bundle_draws_the_line(estimator: Estimator) -> None:
    answers = [estimator.estimate(ecg(seed, potassium)) for seed in range(20) for potassium in (4.2, 7.0)]
    widths = [e.interval.upper - e.interval.lower for e in answers if e.interval is not None]
    middle = Estimator(replace(estimator.bundle, wide_interval_mmol_l=float(np.median(widths))))
    for level in (0.9, 0.5):  # of the interval that is asked for: the flag is about that at 0.9
        answers = [middle.estimate(ecg(seed, k), level=level) for seed in range(20) for k in (4.2, 7.0)]
        flagged = [Flag.WIDE_INTERVAL in e.flags for e in answers]
        assert flagged == [width > np.median(widths) for width in widths]
    assert 0 < sum(flagged) < len(flagged)
