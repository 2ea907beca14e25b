"""What an attacker does with HTTP itself: headers, framing, names of hosts; slow ones are in test_limits.py."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.test_access import bearer, made

FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'


def raw(server: Any, request: bytes) -> bytes:
    """All that a server answers on one connection to these bytes; it has to close it."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request)
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def check_refused(answer: bytes, status: int, name: str) -> None:
    """One answer, a whole problem document, with the headers of every answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert json.loads(body)["type"] == f"urn:ecg-ka:error:{name}"
    for header in (b"application/problem+json", b"x-request-id", b"nosniff", b"connection: close"):
        assert header in head.lower(), header


def test_no_header_breaks_out_of_an_answer_or_a_log_line(server: Any, dicom_bytes: bytes) -> None:
    marks = {"X-Request-ID": 'x"}{"forged":1', "X-Forwarded-For": 'y"}\\n{"forged":1', "User-Agent": "forged-agent"}
    marks |= {"Authorization": 'Bearer z"}{"forged":1', "Idempotency-Key": 'k"}{"forged":1'}
    server.client.post('/v1/predict?a="}{"forged":1', files={"file": ('f"}{"forged":1', dicom_bytes)}, headers=marks)
    for line in server.log.read_text().splitlines():
        json.loads(line)
    assert "forged" not in server.log.read_text()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\nX-Request-ID: a\x0d\x0bSet-Cookie: b=c\r\n\r\n")
        answer = connection.recv(65536).lower()
    assert b"set-cookie" not in answer


@pytest.mark.parametrize(
    "large",
    [
        b"GET /healthz HTTP/1.1\r\nHost: t\r\nX-Large: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: t\r\n" + b"X-Y: zzzzz\r\n" * 5000 + b"\r\n",
        b"GET /healthz?" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: t\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: t\r\n\r\n",
    ],
)
def test_large_headers_are_refused(server: Any, large: bytes) -> None:
    check_refused(raw(server, large), 431, "headers-too-large")
    assert server.client.get("/healthz").status_code == 200


def test_huge_headers_are_not_even_read(server: Any) -> None:
    """The connection ends before they do, so that the refusal may not arrive."""
    with suppress(ConnectionError):
        answer = raw(server, b"GET /healthz HTTP/1.1\r\nHost: t\r\nX-Large: " + b"x" * 10_000_000 + b"\r\n\r\n")
        check_refused(answer, 400, "malformed-request")
    assert server.client.get("/healthz").status_code == 200


def test_no_other_site_may_read_answers(client: TestClient) -> None:
    asked = {"Origin": "https://evil.example.org", "Access-Control-Request-Method": "POST"}
    for answer in (client.options("/v1/predict", headers=asked), client.get("/v1/model", headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_prometheus_labels_hold_nothing_that_was_sent(client: TestClient) -> None:
    for path in ("/Mustermann", "/v1/predict/Mustermann", "/v1/batches/" + "a" * 32):
        client.request("MUSTERMANN", path)
        client.get(path)
    assert "mustermann" not in client.get("/metrics").text.lower()


POST = b"POST /v1/quality HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
SMUGGLED = b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: 0x5\r\n",
        b"Host: elsewhere\r\nContent-Length: 0\r\n",
        b"Content-Type: application/json\r\nContent-Length: 0\r\n",
        b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 0\r\n",
        b"X-API-Key: a\r\nX-API-Key: b\r\nContent-Length: 0\r\n",
        b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 0\r\n",
    ],
)
def test_a_request_that_two_readers_could_cut_differently_is_refused_whole(server: Any, headers: bytes) -> None:
    """And the connection is closed, so that what follows is never taken for a request of its own."""
    answer = raw(server, POST + headers + b"\r\n" + SMUGGLED)
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    check_refused(answer, 400, "malformed-request")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nBroken\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET /health z HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_problem_and_no_text(server: Any, request_bytes: bytes) -> None:
    check_refused(raw(server, request_bytes), 400, "malformed-request")
    assert server.client.get("/healthz").status_code == 200


def test_a_body_that_breaks_off_mid_chunk_ends_the_connection(server: Any) -> None:
    answer = raw(server, POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n--b\r\n\r\nnonsense\r\n")
    check_refused(answer, 400, "malformed-request")


@pytest.mark.parametrize(
    "host", ["evil.example.org", "evil.example.org:8000", "localhost.evil.example", "a@b.c", "[", ""]
)
def test_no_name_that_others_own_reaches_a_service_without_a_key(client: TestClient, host: str) -> None:
    """DNS rebinding: the name of a page elsewhere suddenly stands for 127.0.0.1."""
    answer = client.get("/v1/model", headers={"Host": host})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:ecg-ka:error:forbidden")
    assert "identity" not in answer.text
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "ecg-ka", "a.localhost"]
)
def test_this_machine_is_answered_by_its_names(client: TestClient, host: str) -> None:
    assert client.get("/v1/model", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", "http://localhost:9", "http://[", ""])
def test_no_form_of_another_site_is_taken_without_a_key(client: TestClient, dicom_bytes: bytes, origin: str) -> None:
    files, headers = {"file": ("a", dicom_bytes)}, {"Origin": origin, "Host": "localhost:8000"}
    answer = client.post("/v1/predict", files=files, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:ecg-ka:error:forbidden")
    headers["Origin"] = "http://localhost:8000"  # our own page
    assert client.post("/v1/predict", files=files, headers=headers).status_code == 200


def test_with_a_key_or_the_word_of_the_operator_any_name_does(keeping: TestClient, bundle_folder: Any) -> None:
    elsewhere = {"Host": "ecg.hospital.example", "Origin": "https://portal.hospital.example"}
    assert keeping.get("/v1/model", headers=elsewhere).status_code == 403
    key = bearer(made(keeping.app_state["store"], "archive", "predict"))
    assert keeping.get("/v1/model", headers=elsewhere | key).status_code == 200
    with TestClient(create_app(Settings(bundle=bundle_folder, allow_anonymous=True))) as anyone:
        assert anyone.get("/v1/model", headers=elsewhere).status_code == 200
