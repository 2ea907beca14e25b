"""Make a cohort of ECGs and potassium values: what training, calibration and evaluation start from.

A killed run goes on where it was when the same command is given again. All three write the same four files, which
training/cohort/__init__.py describes. Each program explains its options: python -m training.cohort mimic --help
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from training.cohort import manifest, mimic, simulated
from training.config import execute_one

PROGRAMS: dict[str, tuple[type[Any], Callable[..., object]]] = {
    "mimic": (mimic.MimicConfig, mimic.build),
    "manifest": (manifest.ManifestConfig, manifest.build),
    "simulated": (simulated.SimulatedConfig, simulated.build),
}

if __name__ == "__main__":
    execute_one(PROGRAMS, "python -m training.cohort", __doc__)
