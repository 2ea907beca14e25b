"""The event loop answers whatever the estimates do, and who sends slowly is in nobody's way."""

from __future__ import annotations

import io
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import ecg_ka
from tests.service.conftest import running
from tests.verify.clients import Answer, Load, answered, ask_once, body_of, get
from tests.verify.ecgs import wfdb_ecgs

pytestmark = [pytest.mark.shared, pytest.mark.timeout(900)]

_FS_HZ = 500
_HEAVY_S = 500
N_HEAVY = 6


def heavy_npz(ecg: dict[str, bytes]) -> bytes:
    """Many minutes of a real ECG, nearly as large as a body may be."""
    signal_mv = ecg_ka.read(ecg).signal_mv.astype(np.float32)
    buffer = io.BytesIO()
    long_mv = np.tile(signal_mv, _HEAVY_S * _FS_HZ // signal_mv.shape[1])
    np.savez(buffer, signal_mv=long_mv, fs_hz=_FS_HZ, leads=np.array(ecg_ka.LEADS))
    return buffer.getvalue()


def test_health_is_answered_while_heavy_estimates_run(tmp_path: Path, shared_data: Path) -> None:
    """By comparison: half of the answers in a tenth of the time that a heavy estimate takes in the same minute."""
    body = body_of({"long.npz": heavy_npz(wfdb_ecgs(shared_data, 1)[0])})
    heavy: list[Answer] = []
    with running(tmp_path) as server:

        def ask() -> None:
            heavy.append(ask_once(server.port, body.request("/v1/predict", None)))

        threads = [threading.Thread(target=ask) for _ in range(N_HEAVY)]
        for thread in threads:
            thread.start()
        health: list[Answer] = []
        while any(thread.is_alive() for thread in threads):
            health.append(get(server.port, "/healthz"))
            time.sleep(0.01)
    assert [one.status for one in heavy] == [200] * N_HEAVY
    assert {one.status for one in health} == {200}
    slowest_s = max(one.seconds for one in heavy)
    assert np.median([one.seconds for one in health]) < slowest_s / 10
    assert max(one.seconds for one in health) < slowest_s / 2


def test_slow_bodies_hold_no_place_where_estimates_are_made(tmp_path: Path, shared_data: Path) -> None:
    """More of them than there are places, and eight clients see no refusal."""
    bodies = [body_of(ecg) for ecg in wfdb_ecgs(shared_data, 8)]
    with running(tmp_path, max_concurrent=2) as server, ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            slow.sendall(bodies[0].request("/v1/predict", None)[:2000])
        load = answered(Load(server.port, bodies), 8, 40)
    assert len(load.good) == len(load.answers) == 40
