"""Where the time of one file goes, stage by stage, and how fast the machine does what bounds each of them.

python -m tests.benchmarks.stages FILE     milliseconds of each stage for the first file of a new process, as JSON
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg_ka import Estimator, read
from ecg_ka.estimator import choose_window
from ecg_ka.findings import recording_findings
from ecg_ka.preprocess import to_model_input
from ecg_ka.quality import assess
from ecg_ka.readers import intake, registry
from ecg_ka.readers.given import Given
from tests.benchmarks.alternating import take_turns
from tests.ecg_ka import writers
from tests.ecg_ka.ecgs import ecg

PARTS = ("read", "sniff", "parse", "quality", "preprocess", "network", "uncertainty", "serialise")


def files_of_each_format(shared: Path, folder: Path) -> dict[str, Path]:
    """A recording of 12 leads and about 10 s in each format: real files, and the rest written from a simulated ECG."""
    record = ecg(1)
    counts = np.rint(1000 * record.signal_mv).astype(np.int16)
    written = {
        "CSV": ("a.csv", writers.csv(record.signal_mv, time="time_s")),
        "EDF": ("a.edf", writers.edf(counts)),
        "ISHNE": ("a.ecg", writers.ishne(counts)),
        "JSON": ("a.json", writers.json_text(record.signal_mv.astype(float))),
        "MATLAB .mat": ("a.mat", writers.mat(val=counts, fs=500.0, units="uV")),
        "NumPy .npz": ("a.npz", writers.npz(signal_mv=record.signal_mv, fs_hz=500.0)),
    }
    for name, data in written.values():
        (folder / name).write_bytes(data)
    real = {
        "WFDB": "ptbxl/records500/00001_hr.hea",
        "DICOM": "formats/dicom/ecgprocess-example-DICOM1.dcm",
        "SCP-ECG": "formats/scp/test.scp",
        "GE MUSE XML": "formats/muse/braveheart-example1.xml",
        "GE CardioSoft XML": "formats/cardiosoft/ecgprocess-example-XML1.xml",
        "Philips Sierra XML": "formats/philips/sierra-1_04-ad4d3d80.xml",
        "HL7 aECG": "formats/aecg/fda-example-aecg.xml",
    }
    return {k: shared / v for k, v in real.items()} | {k: folder / name for k, (name, _) in written.items()}


def stages_of(path: Path, estimator: Estimator) -> dict[str, Callable[[], object]]:
    """The parts of one file's way, each fed with what the one before it gives, and the whole way at once."""
    given, spec = Given.by_caller(None, None, None), estimator.bundle.signal
    contents = intake.from_path(path)
    kind, files = registry.pick(contents)
    record = kind.read(files, given)
    window = choose_window(record, spec)[0]
    quality, model_input = assess(window), to_model_input(window, spec)
    outputs, answer = estimator.outputs(model_input), estimator.estimate(record)

    def uncertainty() -> object:
        recording_findings(record, quality, spec, None)
        return estimator.novelty(model_input, outputs), estimator._value(outputs, 0.9, None)

    return {
        "read": lambda: intake.from_path(path),
        "sniff": lambda: registry.pick(contents),
        "parse": lambda: kind.read(files, given),
        "quality": lambda: assess(choose_window(record, spec)[0]),
        "preprocess": lambda: to_model_input(window, spec),
        "network": lambda: estimator.outputs(model_input),
        "uncertainty": uncertainty,
        "serialise": answer.to_json,
        "whole": lambda: estimator.estimate(read(path)).to_json(),
    }


def first_file(path: Path) -> dict[str, float]:
    """Milliseconds of processor time of each stage, for the first file that a process looks at."""
    estimator = Estimator.load()
    given, spec = Given.by_caller(None, None, None), estimator.bundle.signal
    marks = [time.process_time()]

    def mark() -> None:
        marks.append(time.process_time())

    contents = intake.from_path(path)
    mark()
    kind, files = registry.pick(contents)
    mark()
    record = kind.read(files, given)
    mark()
    window = choose_window(record, spec)[0]
    quality = assess(window)
    mark()
    model_input = to_model_input(window, spec)
    mark()
    outputs = estimator.outputs(model_input)
    mark()
    recording_findings(record, quality, spec, None)
    estimator.novelty(model_input, outputs)
    estimator._value(outputs, 0.9, None)
    mark()
    answer = estimator.estimate(record)
    started = time.process_time()
    answer.to_json()
    spent = [b - a for a, b in pairwise(marks)] + [time.process_time() - started]
    return {part: 1e3 * s for part, s in zip(PARTS, spent, strict=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one core does: copies of a record in the cache, SHA-256, the two FFTs of a record, and a matrix product."""

    copy_gb_s: float
    sha256_gb_s: float
    fft_gflop_s: float
    fft_ms: float
    product_gflop_s: float


def measured_machine(n_leads: int = 8) -> Machine:
    """Of this machine; an FFT of N real values counts as 2.5 N log2 N operations."""
    rng, forward = np.random.default_rng(0), partial(np.fft.rfft, axis=1, norm="forward")
    record: NDArray[np.float32] = rng.normal(size=(12, 5000)).astype(np.float32)
    padded, square = (rng.normal(size=shape).astype(np.float32) for shape in ((n_leads, 6000), (512, 512)))
    spectrum, data, copy = forward(padded)[:, :1501], record.tobytes(), np.empty_like(record)
    rounds = take_turns(
        {
            "copy": lambda: np.copyto(copy, record),
            "sha256": lambda: hashlib.sha256(data).digest(),
            "fft": lambda: (forward(padded), np.fft.irfft(spectrum, n=3000, axis=1)),
            "product": lambda: square @ square,
        },
        rounds=40,
        repeats=20,
    )
    ms = {name: rounds.time_ms(name).median for name in rounds.ms}
    operations = n_leads * 2.5 * sum(n * np.log2(n) for n in (6000, 3000))
    return Machine(
        copy_gb_s=len(data) / ms["copy"] / 1e6,
        sha256_gb_s=len(data) / ms["sha256"] / 1e6,
        fft_gflop_s=operations / ms["fft"] / 1e6,
        fft_ms=ms["fft"],
        product_gflop_s=2 * 512**3 / ms["product"] / 1e6,
    )


if __name__ == "__main__":
    print(json.dumps(first_file(Path(sys.argv[1]))))
