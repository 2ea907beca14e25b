"""A cohort on disk: model inputs as one int16 memory map, one row of facts an ECG.

signals.npy    (n, leads, T) int16 in steps of ``step_mv``; the ECGs of a patient in the order of time
index.parquet  a row an ECG: patient, ecg_time, the label, lab_time, gap_min, specimen, quality, split, covariates
cohort.json    what the label is, signal specification, step, counts at every step of exclusion, hashes, licence
rejects.csv    path and reason of each file that could not be read or used
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.preprocess import LSB_MV


class Split(StrEnum):
    """What an ECG is used for; a patient is in one split only."""

    TRAIN = "train"
    VALIDATION = "validation"
    CALIBRATION = "calibration"
    TEST = "test"


SPLIT_OPTIONS = frozenset({"split_by", "split_column", "split_key", "test_from", "test_sites"})
"""Of a builder: they decide which patient is in which split."""

SPLIT_SHARES = {Split.TRAIN: 0.77, Split.VALIDATION: 0.05, Split.CALIBRATION: 0.09, Split.TEST: 0.09}


def split_of(patient: str, key: str) -> Split:
    """The split of a patient, from a keyed hash: the same patient stays where it is when the cohort grows."""
    digest = hashlib.blake2b(patient.encode(), key=key.encode()[:64], digest_size=8).digest()
    u = int.from_bytes(digest, "big") / 2**64
    for split, share in SPLIT_SHARES.items():
        if u < share:
            return split
        u -= share
    return Split.TEST


@dataclass(frozen=True, slots=True)
class Label:
    """What the network is to estimate: the column of the index that holds it, and its unit."""

    name: str
    unit: str


POTASSIUM = Label("potassium_mmol_l", "mmol/L")


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """An opened cohort; ``signals`` stays on disk until rows are read, a column of ``index`` until it is asked for."""

    signals: NDArray[np.int16]
    index: Mapping[str, NDArray[Any]]
    about: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Cohort:
        """The cohort in ``folder``.

        Raises:
            FileNotFoundError: the folder holds no finished cohort.
            ValueError: a file is damaged or was changed, a patient is in two splits, or another step. The signals are
                too many to be hashed each time; their shape is checked.
        """
        from training.cohort.index import Columns, refuse_leakage

        missing = [name for name in ("cohort.json", "index.parquet") if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{folder} holds no finished cohort ({' and '.join(missing)} missing); make one with "
                "`python -m training.cohort mimic|manifest|simulated`, which goes on where it was killed"
            )
        about = _description(folder / "cohort.json")
        if about["step_mv"] != LSB_MV:
            raise ValueError(f"{folder} has steps of {about['step_mv']} mV; expected {LSB_MV}. Make the cohort again")
        signals = _signals(folder / "signals.npy")
        if sha256_of(folder / "index.parquet") != about["sha256"]["index"]:
            raise ValueError(f"{folder / 'index.parquet'} is not what was written: its SHA-256 differs. {_AGAIN}")
        index = Columns(folder / "index.parquet")
        if len(signals) != index.n_rows:
            raise ValueError(f"{folder} has {len(signals)} signals and {index.n_rows} rows in its index")
        refuse_leakage(index["patient"], index["split"])
        return cls(signals, index, about)

    @property
    def label(self) -> Label:
        """What :meth:`labels` are."""
        return Label(**self.about.get("label", asdict(POTASSIUM)))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all that is known of each ECG."""
        return tuple(self.index)

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Positions of the ECGs that a split is used for: all of them in training, one a patient in the others.

        Calibration and intervals of test metrics take their ECGs for independent, which those of one patient are not.
        """
        if split is not Split.TRAIN:
            return self.first_rows(split)
        return np.flatnonzero(self.index["split"] == split.value)

    def first_rows(self, split: Split) -> NDArray[np.int64]:
        """Positions of the first ECG of each patient of one split."""
        rows = np.flatnonzero(self.index["split"] == split.value)
        return rows[np.sort(np.unique(self.index["patient"][rows], return_index=True)[1])]

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the network is to estimate of the ECGs at ``rows``: potassium in mmol/L unless :attr:`label` differs."""
        return self.column(self.label.name, rows).astype(np.float64)

    @property
    def splits_sha256(self) -> str:
        """:func:`splits_sha256_of` this cohort."""
        return splits_sha256_of(self.about)

    def refuse_other_splits(self, training: Mapping[str, Any], but: str) -> None:
        """Check that these are the splits by whose rule a bundle was trained, by what is kept of that ``training``;
        where either is not known nothing is checked. ``but`` says what to do where its patients are others.

        Raises:
            ValueError: they are not.
        """
        ours, theirs = self.splits_sha256, training.get("splits_sha256")
        if ours and theirs and ours != theirs:
            raise ValueError(
                "the cohort is split by another rule than the one that the bundle was trained on, so that patients who "
                "trained it may be among those that are to judge it. Make the cohort again with the --split-key, "
                f"--split-by and other options of splits that the training cohort had; {but}"
            )

    def refuse_other_label(self) -> None:
        """Check that the label is potassium, as everything behind a bundle takes it to be.

        Raises:
            ValueError: it is something else.
        """
        if self.label != POTASSIUM:
            raise ValueError(
                f"the label of the cohort is {self.label.name} in {self.label.unit}; a bundle and its report are about "
                f"{POTASSIUM.name} alone. Training on other labels ends with the run folder"
            )

    def column(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """One column of the index at ``rows``; a missing text is empty, a missing number NaN, a missing time NaT.

        Raises:
            KeyError: there is no such column.
        """
        if name not in self.index:
            raise KeyError(f"the cohort has no column {name!r}; it has {', '.join(self.columns)}")
        return self.index[name][rows]

    def signal_mv(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Model inputs (n, leads, T) in mV, bit for bit as serving computes them."""
        return to_mv(self.signals[rows])


def splits_sha256_of(cohort: Mapping[str, Any]) -> str:
    """Of the rule by which patients came into their splits, key included, from the description of a cohort; empty for
    simulated ones, who are others in every cohort."""
    spec = cohort.get("about", {}).get("spec", {})
    rule = {name: value for name, value in spec.items() if name in SPLIT_OPTIONS}
    return hashlib.sha256(json.dumps(rule, sort_keys=True).encode()).hexdigest() if rule else ""


_AGAIN = "Delete the folder and make the cohort again"


def _description(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}). {_AGAIN}") from None
    missing = {"step_mv", "sha256", "signal", "signal_sha256", "about"} - set(about)
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}. {_AGAIN}")
    return dict(about)


def _signals(path: Path) -> NDArray[np.int16]:
    """(n, leads, T), never read through pickle."""
    try:
        signals = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is missing or damaged ({error}). {_AGAIN}") from None
    if not isinstance(signals, np.ndarray) or signals.ndim != 3 or signals.dtype != np.int16:
        raise ValueError(f"{path} holds no int16 (ECGs, leads, samples). {_AGAIN}")
    return signals


def at_half_rate(cohort: Cohort) -> Cohort:
    """The cohort with signals in memory, each pair of samples averaged and rounded to the grid."""
    n, n_leads, t = cohort.signals.shape
    signals = np.empty((n, n_leads, t // 2), dtype=np.int16)
    for start in range(0, n, 1024):
        steps = cohort.signals[start : start + 1024, :, : t // 2 * 2].astype(np.int32)
        signals[start : start + 1024] = (steps[:, :, ::2] + steps[:, :, 1::2] + 1) >> 1
    about = {**cohort.about, "signal": {**cohort.about["signal"], "fs_hz": cohort.about["signal"]["fs_hz"] / 2}}
    return Cohort(signals, cohort.index, about)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def to_steps(signal_mv: NDArray[np.float32]) -> NDArray[np.int16]:
    """Model inputs as integers; lossless, because they lie on the grid of LSB_MV."""
    return np.asarray(np.rint(signal_mv * np.float32(1 / LSB_MV)), dtype=np.int16)


def to_mv(steps: NDArray[np.int16]) -> NDArray[np.float32]:
    """The inverse of :func:`to_steps`."""
    return (steps.astype(np.float32) * np.float32(LSB_MV)).astype(np.float32)
