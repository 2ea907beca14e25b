"""The public names, and what importing them costs."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import ecg_ka
from ecg_ka import errors
from tests.ecg_ka.ecgs import csv_bytes, ecg


def test_all_names_are_the_public_ones() -> None:
    public = {
        name
        for name, value in vars(ecg_ka).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public - {"annotations"} == set(ecg_ka.__all__)
    assert sorted(ecg_ka.__all__) == sorted(set(ecg_ka.__all__))


def test_importing_loads_nothing_heavy() -> None:
    heavy: tuple[str, ...] = (
        "torch",
        "pandas",
        "neurokit2",
        "matplotlib",
        "wfdb",
        "pydicom",
        "onnxruntime",
        "fastapi",
        "fhir",
    )
    heavy += (
        "highdicom",
        "defusedxml",
        "ray",
        "pyarrow",
        "fsspec",
        "polars",
        "sqlalchemy",
        "scipy",
    )
    code = f"import sys, ecg_ka, ecg_ka.cli; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_estimate_loads_neither_torch_nor_pandas_nor_scipy_nor_neurokit_nor_matplotlib(tmp_path: Path) -> None:
    path = tmp_path / "ecg.csv"
    path.write_bytes(csv_bytes(ecg(1)))
    code = (
        "import sys, ecg_ka\n"
        f"assert ecg_ka.Estimator.load().estimate(ecg_ka.read({str(path)!r})).potassium_mmol_l\n"
        "print([m for m in ('torch', 'pandas', 'scipy', 'neurokit2', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_estimate_writes_nothing_at_home(tmp_path: Path) -> None:
    """The runtime of the network would otherwise keep a telemetry database there."""
    code = (
        "import ecg_ka\n"
        "from ecg_ka.simulator import Preset, draw_patient, simulate\n"
        "ecg_ka.Estimator.load().estimate(simulate(draw_patient(1, Preset.PUBLISHED), 5.0, 1))"
    )
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", code], check=True, env=home, cwd=Path(ecg_ka.__file__).parents[1])
    assert list(tmp_path.iterdir()) == []


def test_every_error_has_its_own_title_and_stands_in_the_drawn_tree() -> None:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.EcgError)]
    assert len({error.title for error in found}) == len(found)
    assert all(error.__name__ in (errors.__doc__ or "") for error in found)
