"""Size, time and number of requests are bounded, on a real server with raw connections."""

from __future__ import annotations

import socket
import time
from typing import Any

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


def test_a_file_over_the_limit_of_the_library_is_413(server: Any) -> None:
    archive_like = b"PK\x03\x04" + bytes(19_900_000)
    answer = server.client.post("/v1/predict", files={"file": ("a", archive_like)})
    assert answer.status_code in (400, 413)
    answer = server.client.post("/v1/predict", files={"file": ("a", bytes(20_000_001))})
    assert answer.status_code == 413


def test_one_request_too_many_is_told_to_come_back_and_a_slow_body_loses_its_place(
    narrow_server: Any, dicom_bytes: bytes
) -> None:
    files = {"file": ("a", dicom_bytes)}
    with connect(narrow_server) as slow:
        slow.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + PART)
        time.sleep(0.3)
        refused = narrow_server.client.post("/v1/predict", files=files)
        assert narrow_server.client.get("/healthz").status_code == 200
        assert narrow_server.client.get("/readyz").status_code == 200
        assert read_all(slow).startswith(b"HTTP/1.1 408 ")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["type"] == "urn:ecg-ka:error:overloaded"
    assert narrow_server.client.post("/v1/predict", files=files).status_code == 200


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
