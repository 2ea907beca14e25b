"""Size, time and number of requests are bounded, on a real server with raw connections."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.errors import Overloaded
from service.settings import Settings
from service.state import Gate

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=b\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


def connect(server: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
    return answer


def test_a_declared_size_over_the_limit_is_refused_before_the_body(narrow_server: Any) -> None:
    with connect(narrow_server) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000001\r\n\r\n")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"urn:ecg-ka:error:body-too-large" in answer


def test_a_body_without_a_declared_size_is_cut_off_at_the_limit(narrow_server: Any) -> None:
    chunk = b"%x\r\n" % 65536 + bytes(65536) + b"\r\n"
    sent = 0
    with connect(narrow_server) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(PART) + PART + b"\r\n")
        connection.setblocking(False)
        deadline = time.monotonic() + 20
        while not (answer := _received(connection)) and sent < 100_000_000 and time.monotonic() < deadline:
            sent += _sent(connection, chunk)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent < 20_000_000  # what the socket buffers of both ends hold, not what a client may send


def test_a_json_body_is_read_within_limits(narrow_server: Any) -> None:
    head = b"POST /v1/feedback HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    for n_bytes, sent, status in ((1_000_001, b"", b"413"), (100, b"{", b"408"), (2, b"[]", b"422")):
        with connect(narrow_server) as connection:
            connection.sendall(head % n_bytes + sent)
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert narrow_server.client.post("/v1/feedback", content=b"{}").status_code == 415


def test_a_file_over_the_limit_of_the_library_is_413(server: Any) -> None:
    archive_like = b"PK\x03\x04" + bytes(19_900_000)
    answer = server.client.post("/v1/predict", files={"file": ("a", archive_like)})
    assert answer.status_code == 400  # a zip without a directory: too large it would be 413
    answer = server.client.post("/v1/predict", files={"file": ("a", bytes(20_000_001))})
    assert answer.status_code == 413


def start_slow_body(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + PART)
    time.sleep(0.2)


def check_overloaded(answer: Any) -> None:
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["type"] == "urn:ecg-ka:error:overloaded"


def test_a_slow_body_keeps_nobody_from_an_estimate(narrow_server: Any, dicom_bytes: bytes) -> None:
    with connect(narrow_server) as slow:
        start_slow_body(slow)
        assert narrow_server.client.post("/v1/predict", files={"file": ("a", dicom_bytes)}).status_code == 200
        assert read_all(slow).startswith(b"HTTP/1.1 408 ")


def test_one_upload_too_many_is_told_to_come_back_and_slow_bodies_lose_their_places(
    narrow_server: Any, dicom_bytes: bytes
) -> None:
    files = {"file": ("a", dicom_bytes)}
    with connect(narrow_server) as slow, connect(narrow_server) as slower:
        for connection in (slow, slower):
            start_slow_body(connection)
        check_overloaded(narrow_server.client.post("/v1/predict", files=files))
        assert narrow_server.client.get("/healthz").status_code == 200
        assert narrow_server.client.get("/readyz").status_code == 200
        for connection in (slow, slower):
            assert read_all(connection).startswith(b"HTTP/1.1 408 ")
    assert narrow_server.client.post("/v1/predict", files=files).status_code == 200


def test_one_estimate_too_many_is_told_to_come_back(bundle_folder: Path, dicom_bytes: bytes) -> None:
    files = {"file": ("a", dicom_bytes)}
    with TestClient(create_app(Settings(bundle=bundle_folder, max_concurrent=1))) as client:
        with client.app_state["estimates"].entered():
            check_overloaded(client.post("/v1/predict", files=files))
            assert client.post("/v1/predict", files={"file": ("a", b"")}, data={"level": "9"}).status_code == 422
        assert client.post("/v1/predict", files=files).status_code == 200


def test_places_are_given_in_the_order_of_arrival_and_none_is_lost() -> None:
    async def scene() -> list[int]:
        gate, served = Gate(1, "estimates"), []

        async def caller(number: int, wait_s: float) -> None:
            async with gate.entered_in_turn(wait_s):
                served.append(number)
                await asyncio.sleep(0)

        with gate.entered():
            impatient = asyncio.create_task(caller(0, 0.0))
            patient = [asyncio.create_task(caller(number, 60)) for number in (1, 2, 3)]
            with pytest.raises(Overloaded):
                await impatient
            patient.pop(1).cancel()  # hangs up
        await asyncio.gather(*patient)
        with gate.entered():
            return served

    assert asyncio.run(scene()) == [1, 3]


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"])
def test_headers_that_do_not_come_end_the_connection(narrow_server: Any, before: bytes) -> None:
    """Neither silence nor a byte now and then keeps it open, first request or later one."""
    with connect(narrow_server) as connection:
        if before:
            connection.sendall(before)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        started = time.monotonic()
        with suppress(ConnectionError):
            for byte in b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 200:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - started < 8  # all of it takes 11 s
    assert narrow_server.client.get("/healthz").status_code == 200


def test_an_idle_connection_is_closed(narrow_server: Any) -> None:
    with connect(narrow_server) as connection:
        assert read_all(connection) == b""
    with connect(narrow_server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_a_request_on_one_connection_too_many_is_refused(narrow_server: Any) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(connect(narrow_server))
        with connect(narrow_server) as last:
            last.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
            answer = read_all(last)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"urn:ecg-ka:error:too-many-connections" in answer


def test_a_client_that_hangs_up_frees_its_place(narrow_server: Any, dicom_bytes: bytes) -> None:
    with connect(narrow_server) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + PART)
        time.sleep(0.2)
    time.sleep(0.2)
    assert narrow_server.client.post("/v1/predict", files={"file": ("a", dicom_bytes)}).status_code == 200


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except BlockingIOError:
        return b""


def _sent(connection: socket.socket, data: bytes) -> int:
    try:
        return connection.send(data)
    except BlockingIOError:
        time.sleep(0.001)
        return 0
    except ConnectionError:
        return 0
