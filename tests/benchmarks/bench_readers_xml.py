"""What an XML file costs to read: goal 25 ms of processor time. Run by `make bench`; needs ../shared/data."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ecg_ka.readers import read

pytestmark = pytest.mark.shared

FILES = [
    "muse/braveheart-example1.xml",
    "cardiosoft/ecgprocess-example-XML1.xml",
    "philips/sierra-1_04-ad4d3d80.xml",
    "aecg/fda-example-aecg.xml",
]


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_read_in_25_ms(shared_data: Path, file: str) -> None:
    data = (shared_data / "formats" / file).read_bytes()
    times_s = []
    for _ in range(20):
        started = time.process_time()
        read(data)
        times_s.append(time.process_time() - started)
    print(f"\n{file}: {min(times_s) * 1e3:.1f} ms")
    assert min(times_s) < 0.025
