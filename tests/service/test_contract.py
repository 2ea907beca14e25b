"""What holds for every route: a version, request ids, problem documents, keys for writes, a loop that goes on."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

import ecg_ka
from service.routes import audit, batches, cds, explain, feedback, health, metrics, model, monitoring, personalize
from service.routes import predict as predicting
from service.routes import quality as judging
from tests.service.test_personalize import pair

UNVERSIONED = {"/healthz", "/readyz", "/metrics", "/cds-services", f"/cds-services/{ecg_ka.SERVICE_ID}"}
"""Where probes, Prometheus and CDS Hooks look for them."""

KEEPING = {("/v1/predict", "post"), ("/v1/batches", "post"), ("/v1/feedback", "post")}
ROUTERS = (audit, batches, cds, explain, feedback, health, metrics, model, monitoring, personalize, predicting, judging)
QUICK = {"healthz", "services", "model"}


def operations(client: TestClient) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_is_versioned_but_those_that_others_name(client: TestClient) -> None:
    paths = {path for path, _, _ in operations(client)}
    assert {path for path in paths if not path.startswith("/v1/")} == UNVERSIONED


def test_every_refusal_is_described_as_a_problem(client: TestClient) -> None:
    for path, _, operation in operations(client):
        refused = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert refused or path == "/healthz"
        assert all(list(answer["content"]) == ["application/problem+json"] for answer in refused.values()), path


def test_whatever_is_asked_is_answered_with_its_id_and_refused_with_a_problem(keeping: TestClient) -> None:
    asked = [(method, path.replace("{batch_id}", "0" * 32)) for path, method, _ in operations(keeping)]
    asked += [(method, path) for _, path in asked for method in ("patch", "options", "brew")] + [("get", "/v1/nothing")]
    for method, path in asked:
        answer = keeping.request(method.upper(), path, headers={"X-Request-ID": "contract-1"})
        assert answer.headers["x-request-id"] == "contract-1"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json", (method, path)
            assert answer.json()["instance"] == "urn:ecg-ka:request:contract-1"
            assert answer.status_code < 500, (method, path, answer.text)


def test_what_is_kept_by_a_route_can_be_sent_again(client: TestClient) -> None:
    """DELETE needs no key: what is gone stays gone."""
    described = {
        (path, method)
        for path, method, operation in operations(client)
        if "Idempotency-Key" in {parameter["name"] for parameter in operation.get("parameters", [])}
    }
    assert described == KEEPING


def test_what_takes_time_runs_beside_the_event_loop() -> None:
    """An ``async def`` would run in it."""
    endpoints = {route.endpoint for module in ROUTERS for route in module.router.routes}
    assert {endpoint.__name__ for endpoint in endpoints if inspect.iscoroutinefunction(endpoint)} == QUICK
    assert len(endpoints) > 15


class Waiting(ecg_ka.Estimator):
    """Waits in the middle of an estimate until it is let go on."""

    def __init__(self, bundle: Any) -> None:
        super().__init__(bundle)
        self.began, self.may_go_on = threading.Event(), threading.Event()

    def estimate(self, *arguments: Any, **options: Any) -> ecg_ka.Estimate:
        self.began.set()
        assert self.may_go_on.wait(timeout=120)
        return super().estimate(*arguments, **options)


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/personalize"])
def test_others_are_answered_while_an_estimate_is_made(
    client: TestClient, dicom_bytes: bytes, json_bytes: bytes, path: str
) -> None:
    models = client.app_state["models"]
    models._current = waiting = Waiting(models.current.bundle)
    sent: dict[str, Any] = {"files": [("file", ("ecg", dicom_bytes))]}
    if path == "/v1/personalize":
        sent["files"].append(("earlier", ("a.json", json_bytes)))
        sent["data"] = {"history": json.dumps([pair("a.json", 20, 4.1)])}
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(client.post, path, **sent)
        try:
            assert waiting.began.wait(timeout=120)
            for quick in ("/healthz", "/readyz", "/v1/model"):
                assert pool.submit(client.get, quick).result(timeout=60).status_code == 200
            assert not slow.done()
        finally:
            waiting.may_go_on.set()
        assert slow.result(timeout=120).status_code == 200
