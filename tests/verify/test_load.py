"""Under load: no error, no growing memory, quick refusals, and a core that mostly estimates.

Short forms of what ``python -m tests.verify.reliability`` measures at length. Times are compared with times of the same
minutes, so that a busy machine changes neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.conftest import Server
from tests.service.postgres import started as postgres_started
from tests.verify import load
from tests.verify.ecgs import mixed_ecgs, wfdb_ecgs

pytestmark = [pytest.mark.shared, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A pinned server that keeps what it estimates."""
    folder = tmp_path_factory.mktemp("load")
    if request.param == "sqlite":
        with load.pinned(folder, data=folder / "data", **load.UNLIMITED) as pinned:
            yield pinned
        return
    with postgres_started(fsync="on") as postgres:
        address = postgres.new_database()
        with load.pinned(folder, data=folder / "data", database=address, **load.UNLIMITED) as pinned:
            yield pinned


def test_most_of_the_processor_estimates(server: Server, shared_data: Path) -> None:
    """The goal is 0.7; below 0.5 something new costs as much as the estimate."""
    found = load.throughput(server, mixed_ecgs(shared_data), n_turns=3, n_rounds=2)
    assert found.n_errors == 0
    assert found.processor_share > 0.5, found


def test_memory_stays(server: Server, shared_data: Path) -> None:
    found = load.memory(server, wfdb_ecgs(shared_data, 18), n_requests=600)
    assert found.n_errors == 0
    assert found.last_mb - found.first_mb < 0.1 * found.first_mb, found


def test_ten_times_too_much_is_refused_and_then_it_is_as_before(tmp_path: Path, shared_data: Path) -> None:
    with load.pinned(tmp_path, data=tmp_path / "data") as server:
        found = load.overload(server, wfdb_ecgs(shared_data, 18), seconds=5)
    assert set(found.statuses) <= {200, 429, 503}, found
    assert found.statuses[200] > 0
    assert found.is_told_when
    assert found.n_errors_after == 0
