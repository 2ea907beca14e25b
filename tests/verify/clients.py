"""Clients of a load: threads with one connection each, that send whole requests made beforehand and note every answer.

They do as little as possible, for they share a core; a client library would measure itself.
"""

from __future__ import annotations

import itertools
import json
import math
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT_S = 60.0
_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Body:
    """A multipart body: its header lines and its bytes."""

    content: bytes
    boundary: str

    def request(self, path: str, key: str | None) -> bytes:
        head = [f"POST {path} HTTP/1.1", "Host: load", f"Content-Length: {len(self.content)}"]
        head += [f"Content-Type: multipart/form-data; boundary={self.boundary}"]
        head += [f"Idempotency-Key: {key}"] if key else []
        return "\r\n".join([*head, "", ""]).encode() + self.content


def body_of(files: dict[str, bytes]) -> Body:
    """The form of one ECG."""
    boundary = uuid.uuid4().hex
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
        % (boundary.encode(), name.encode(), content)
        for name, content in files.items()
    ]
    return Body(b"".join(parts) + f"--{boundary}--\r\n".encode(), boundary)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got: its status (0: the connection broke), when, after how long, and what to know of it."""

    status: int
    at: float
    seconds: float
    headers: dict[str, str]
    content: bytes
    key: str | None

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document; empty where there is none."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        return dict(json.loads(self.content)) if is_problem else {}


class Connection:
    """One kept connection to the server, opened again when it broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, request: bytes, key: str | None = None) -> Answer:
        started = time.monotonic()
        try:
            status, headers, content = self._asked(request)
        except OSError:
            self.close()
            status, headers, content = 0, {}, b""
        ended = time.monotonic()
        return Answer(status, ended, ended - started, headers, content, key)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _asked(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        head, content = self._received_head(self._socket)
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        while len(content) < int(headers["content-length"]):
            content += self._chunk(self._socket)
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), headers, content

    def _received_head(self, connection: socket.socket) -> tuple[bytes, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._chunk(connection)
        head, _, content = received.partition(b"\r\n\r\n")
        return head, content

    @staticmethod
    def _chunk(connection: socket.socket) -> bytes:
        chunk = connection.recv(262_144)
        if not chunk:
            raise ConnectionResetError
        return chunk


def ask_once(port: int, request: bytes) -> Answer:
    """One request on a connection of its own."""
    connection = Connection(port)
    try:
        return connection.ask(request)
    finally:
        connection.close()


def get(port: int, path: str) -> Answer:
    """One request without a body."""
    return ask_once(port, f"GET {path} HTTP/1.1\r\nHost: load\r\n\r\n".encode())


@dataclass(slots=True)
class Load:
    """Clients that ask one after the other until told to stop; ``answers`` grows meanwhile.

    With ``insists`` each request has an ``Idempotency-Key`` and is sent again until it is answered 200, as a caller
    does who must not lose anything; but sooner than ``Retry-After`` asks, so that the recovery is seen when it comes.
    With ``rate_per_s`` all of them together ask so often, as far as there are clients free to do so.
    """

    port: int
    bodies: Sequence[Body]
    insists: bool = False
    rate_per_s: float = math.inf
    answers: list[Answer] = field(default_factory=list)
    n_requests: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _limit: int | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self) -> None:
        """One client."""
        connection = Connection(self.port)
        started = time.monotonic()
        while not self._stop.is_set():
            number = next(self._numbers)
            if self._limit is not None and number >= self._limit:
                break
            key = uuid.uuid4().hex if self.insists else None
            time.sleep(max(0.0, started + number / self.rate_per_s - time.monotonic()))
            self.n_requests += 1
            request = self.bodies[number % len(self.bodies)].request("/v1/predict", key)
            self._ask(connection, request, key)
        connection.close()

    def _ask(self, connection: Connection, request: bytes, key: str | None) -> None:
        while True:
            answer = connection.ask(request, key)
            self.answers.append(answer)
            if answer.status == 200 or not self.insists:
                return
            time.sleep(_AGAIN_S)

    @property
    def good(self) -> list[Answer]:
        return [answer for answer in list(self.answers) if answer.status == 200]


@contextmanager
def loaded(load: Load, n_clients: int) -> Iterator[Load]:
    """So many clients at work during the block; at its end each gets the answer that it waits for."""
    threads = [threading.Thread(target=load.run) for _ in range(n_clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load._stop.set()
        for thread in threads:
            thread.join()


def answered(load: Load, n_clients: int, n_requests: int) -> Load:
    """The same until so many requests are answered."""
    load._limit = n_requests
    threads = [threading.Thread(target=load.run) for _ in range(n_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return load
