"""How many ECGs of 12 x 5000 samples, with noise and quantisation, one core simulates per second.

pytest tests/benchmarks/bench_simulator.py
"""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from ecg_ka.simulator import BATCH_PATIENTS, CohortSpec, Preset, Prior, draw_patient, simulate, simulate_batch

SPEC = CohortSpec(
    preset=Preset.PUBLISHED, prior=Prior.MIX, n_patients=100 * BATCH_PATIENTS, visits_per_patient=1, seed=3
)


def test_ecgs_per_second(benchmark: BenchmarkFixture) -> None:
    simulate_batch(SPEC, 0)  # makes the bank of noise
    batch = benchmark(simulate_batch, SPEC, 5)
    assert batch.signal_mv.shape[0] == BATCH_PATIENTS
    assert benchmark.stats is not None
    benchmark.extra_info["ECG/s"] = round(BATCH_PATIENTS / benchmark.stats.stats.median)
    assert benchmark.extra_info["ECG/s"] > 100


def test_one_patient_at_one_potassium(benchmark: BenchmarkFixture) -> None:
    record = benchmark(simulate, draw_patient(1, Preset.PUBLISHED), 5.0, 1)
    assert record.signal_mv.shape[0] == 12
