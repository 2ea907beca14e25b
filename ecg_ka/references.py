"""Reference ECGs of a bundle: what it answered when it was made, to be answered again where it is to serve.

``references.npz`` lies beside ``bundle.json``: simulated ECGs, and what the bundle said about each. Another machine,
runtime or version of this program has to give the same, or the calibration that was measured does not hold there. The
ECGs are stored and not simulated again, so that a change of the simulator changes no check. They belong to one bundle,
which they name by its hash; a copy that fell out of step is refused.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import BundleError
from ecg_ka.estimator import Estimator, prepare
from ecg_ka.record import INDEPENDENT_LEADS, EcgRecord, Source

FILE = "references.npz"
TOLERANCE = 0.02
"""In mmol/L (novelty: of its threshold); processors differ by less than 0.001, and a laboratory reads 0.1."""

NUMBERS = ("network", "spread", "novelty", "estimate", "median", "lower", "upper")
"""What is compared. The first three also tell a bundle that withholds the estimates of simulated ECGs."""

_POTASSIUM_MMOL_L = (2.8, 3.6, 4.4, 5.6, 6.8)
_STEP_MV = 0.005
_SEED = 5  # of a patient whose ECGs the shipped bundle finds usual


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class References:
    """``steps`` (n, leads, T) int16, of 5 microvolts, in the order of ``INDEPENDENT_LEADS``; ``answers`` (n, 7) in the
    order of ``NUMBERS``, NaN where withheld; ``model_sha256`` is the hash of the bundle that gave them."""

    model_sha256: str
    fs_hz: float
    steps: NDArray[np.int16]
    answers: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.steps)

    def largest_difference(self, estimator: Estimator) -> float:
        """By how much this estimator answers otherwise, at most.

        Raises:
            BundleError: by more than the tolerance, or it withholds what was answered.
        """
        found = _answers(estimator, self.steps, self.fs_hz)
        differ = np.where(np.isnan(found) & np.isnan(self.answers), 0.0, np.abs(found - self.answers))
        ecg, number = (int(index) for index in np.unravel_index(int(np.argmax(differ)), differ.shape))
        if not differ.max() <= TOLERANCE:  # also catches NaN
            raise BundleError(
                f"reference ECG {ecg + 1} gives {NUMBERS[number]} {found[ecg, number]:.3f}; expected "
                f"{self.answers[ecg, number]:.3f}, as where the bundle was made. Its calibration does not hold here: "
                "use the version of ecg_ka that made it, or export it again"
            )
        return float(differ.max())


def write_references(folder: Path) -> None:
    """Ask the bundle in ``folder`` about new reference ECGs and keep its answers beside it.

    Raises:
        BundleError: the folder holds no valid bundle.
    """
    from ecg_ka.simulator import FS_HZ, Preset, draw_patient, simulate

    patient = draw_patient(_SEED, Preset.PUBLISHED)
    records = [simulate(patient, k, seed) for seed, k in enumerate(_POTASSIUM_MMOL_L, _SEED)]
    rows = np.stack([np.stack([record.lead(lead) for lead in INDEPENDENT_LEADS]) for record in records])
    steps = np.rint(rows / _STEP_MV).astype(np.int16)
    estimator = Estimator.load(folder)
    np.savez_compressed(
        folder / FILE,
        model_sha256=np.array(estimator.bundle.sha256),
        fs_hz=np.array(float(FS_HZ)),
        steps=steps,
        answers=_answers(estimator, steps, FS_HZ),
    )


def load_references(folder: Path, model_sha256: str) -> References | None:
    """The references of the bundle in ``folder``, whose hash is ``model_sha256``; None when it has none.

    Raises:
        BundleError: they are malformed, or those of another bundle.
    """
    try:
        content = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BundleError(f"cannot read {folder / FILE}: {error.strerror}") from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            found = References(
                model_sha256=str(stored["model_sha256"]),
                fs_hz=float(stored["fs_hz"]),
                steps=stored["steps"],
                answers=stored["answers"],
            )
    except (KeyError, ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise BundleError(f"{folder / FILE} is malformed ({error!r}). Make it with training.references") from error
    shape = (len(found.steps), len(NUMBERS))
    if not len(found) or found.steps.ndim != 3 or found.steps.dtype != np.int16 or found.answers.shape != shape:
        raise BundleError(f"{folder / FILE} holds arrays of other shapes. Make it with training.references")
    if found.model_sha256 != model_sha256:
        raise BundleError(
            f"{folder / FILE} belongs to the bundle {found.model_sha256[:12]}, beside it lies {model_sha256[:12]}. "
            "Fetch both again, or make it with training.references"
        )
    return found


def _answers(estimator: Estimator, steps: NDArray[np.int16], fs_hz: float) -> NDArray[np.float64]:
    return np.array([_answer(estimator, _record(ecg, fs_hz)) for ecg in steps])


def _record(steps: NDArray[np.int16], fs_hz: float) -> EcgRecord:
    source = Source(format="reference", sha256=hashlib.sha256(steps.tobytes()).hexdigest(), units_in="mV", age_years=60)
    signal_mv = steps.astype(np.float32) * np.float32(_STEP_MV)
    return EcgRecord.from_leads(signal_mv, INDEPENDENT_LEADS, fs_hz=fs_hz, source=source)


def _answer(estimator: Estimator, record: EcgRecord) -> list[float]:
    model_input = prepare(record, estimator.bundle.signal)
    outputs = estimator.outputs(model_input)
    answer = estimator.estimate(record)
    interval = answer.interval
    numbers: list[float | None] = [
        outputs.potassium_mmol_l,
        outputs.spread_mmol_l,
        estimator.novelty(model_input, outputs).distance,
        answer.potassium_mmol_l,
        answer.median_mmol_l,
        interval.lower if interval else None,
        interval.upper if interval else None,
    ]
    return [np.nan if number is None else number for number in numbers]
