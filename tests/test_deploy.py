"""The files of deploy/ fit the service, as far as that shows without an engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

import ecg_ka
from service import __main__ as program
from service import settings
from service.app import create_app
from service.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
NAMES = {f"ECG_KA_{name.upper()}" for name in Settings.model_fields}
OF_COMPOSE = {"ECG_KA_IMAGE", "ECG_KA_MODELS", "ECG_KA_PROMETHEUS_KEY"}
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def documents(*names: str) -> list[dict[str, Any]]:
    texts = ((DEPLOY / "kubernetes" / f"{name}.yaml").read_text() for name in names)
    return [document for text in texts for document in yaml.safe_load_all(text)]


KUSTOMIZATION = documents("kustomization")[0]
PODS = {d["metadata"]["name"]: d["spec"]["template"] for d in documents("api", "worker") if d["kind"] == "Deployment"}
CONTAINERS = {name: pod["spec"]["containers"][0] for name, pod in PODS.items()}


def values(part: Any, key: str) -> Iterator[Any]:
    """All that stands under a key, however deep."""
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == key)
    for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from values(child, key)


def environment_of(text: str) -> dict[str, str]:
    return dict(re.findall(rf"\b({settings.PREFIX}[A-Z_]+)=?(\S*)", text))


@pytest.mark.parametrize(
    "file",
    [
        *sorted(DEPLOY.rglob("*.yaml")),
        *sorted(DEPLOY.rglob("*.yml")),
        ROOT / "Dockerfile",
        *(ROOT / "docs").glob("*.md"),
    ],
)
def test_every_setting_that_is_named_exists(file: Path) -> None:
    assert set(environment_of(file.read_text())) <= NAMES | OF_COMPOSE


def test_the_settings_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of compose and Kubernetes, together with those of the image."""
    image = dict(re.findall(r"^ +(ECG_KA_[A-Z_]+)=(\S+)", DOCKERFILE, re.MULTILINE))
    compose = {name: re.sub(r"\$\{.*?\}", "", text) for name, text in COMPOSE["x-service"]["environment"].items()}
    kubernetes = dict(text.split("=", 1) for text in KUSTOMIZATION["configMapGenerator"][0]["literals"])
    kubernetes |= {one["name"]: "postgresql://a:b@c/d" for one in CONTAINERS["ecg-ka-api"]["env"]}
    for chosen in (compose, kubernetes):
        with monkeypatch.context() as patch:
            for name, value in (image | chosen).items():
                patch.setenv(name, value)
            found = settings.from_environment()
        assert found.data == Path("/data")
        assert found.database is not None
        assert (found.host, found.port) == ("0.0.0.0", 8000)


def test_the_containers_may_do_nothing_that_they_need_not() -> None:
    for name in ("api", "worker"):
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["user"] == "10001:10001"
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert [mount for mount in service["volumes"] if not mount.endswith(":ro")] == ["data:/data"]
    for name, pod in PODS.items():
        spec, container = pod["spec"], CONTAINERS[name]
        assert (spec["enableServiceLinks"], spec["automountServiceAccountToken"]) == (False, False)
        assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"]) == (True, 10001)
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert writable == {"/data", "/tmp"}
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"


def test_ports_are_the_one_that_the_image_opens() -> None:
    assert re.findall(r"^EXPOSE (\d+)", DOCKERFILE, re.MULTILINE) == ["8000"] == [str(Settings().port)]
    assert COMPOSE["services"]["api"]["ports"] == ["127.0.0.1:8000:8000"]
    assert set(values(documents("api"), "containerPort")) == {8000}
    into_api = next(d for d in documents("network") if d["metadata"]["name"] == "into-api")
    assert set(values(into_api, "port")) == {8000}
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert scraped["static_configs"][0]["targets"] == ["api:8000"]


def test_nobody_reaches_the_database_or_the_way_out_but_by_name() -> None:
    services = COMPOSE["services"]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert {name for name, service in services.items() if "edge" in service["networks"]} == {"api", "prometheus"}
    assert [port for name in ("postgres", "worker") for port in services[name].get("ports", [])] == []
    nothing = next(d for d in documents("network") if d["metadata"]["name"] == "nothing")
    assert nothing["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_probes_ask_what_is_open_to_all() -> None:
    container = CONTAINERS["ecg-ka-api"]
    with TestClient(create_app(Settings(host="0.0.0.0", failed_keys_per_minute=1))) as client:
        for probe, path in (("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")):
            asked = container[f"{probe}Probe"]["httpGet"]
            assert asked == {"path": path, "port": "http"}
            assert client.get(path).status_code == 200


def test_entry_points_are_commands_of_the_service() -> None:
    assert re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)[-1] == '["python", "-m", "service"]'
    words = {"worker", *COMPOSE["services"]["worker"]["command"], *CONTAINERS["ecg-ka-worker"]["args"]}
    assert words == {"worker"}
    told = (ROOT / "docs" / "deploy.md").read_text()
    words |= set(re.findall(r"(?:run --rm api|python -m service|docker run --rm IMAGE) ((?:[a-z]+ ?){1,2})", told))
    for line in sorted(word.strip() for word in words):
        with pytest.raises(SystemExit) as stop:
            program._parser().parse_args([*line.split(), "--help"])
        assert stop.value.code == 0, line


def test_names_fit_each_other() -> None:
    resources = documents(*(name.removesuffix(".yaml") for name in KUSTOMIZATION["resources"]))
    kinds = {(d["kind"], d["metadata"]["name"]) for d in resources}
    assert {claim["claimName"] for claim in values(resources, "persistentVolumeClaim")} == {
        name for kind, name in kinds if kind == "PersistentVolumeClaim"
    }
    (config,) = KUSTOMIZATION["configMapGenerator"]
    assert {one["name"] for one in values(resources, "configMapRef")} == {config["name"]}
    assert {container["image"] for container in CONTAINERS.values()} == {KUSTOMIZATION["images"][0]["name"]}
    assert KUSTOMIZATION["images"][0]["newTag"] == ecg_ka.__version__
    for document in resources:
        for selector in values(document, "matchLabels"):
            if "app" in selector:
                assert any(selector.items() <= pod["metadata"]["labels"].items() for pod in PODS.values())
    told = (ROOT / "docs" / "deploy.md").read_text()
    for secret in {*values(resources, "secretName"), *(one["name"] for one in values(resources, "secretKeyRef"))}:
        assert secret == "ecg-ka-tls" or f"create secret generic {secret} " in told


def test_alerts_ask_for_metrics_that_there_are(tmp_path: Path) -> None:
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    asked = {name for rule in group["rules"] for name in re.findall(r"\becg_ka_[a-z0-9_]+", rule["expr"])}
    with TestClient(create_app(Settings(data=tmp_path))) as client:
        client.get("/healthz")
        told = client.get("/metrics").text
    there = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE)) | set(re.findall(r"^(\w+)", told, re.MULTILINE))
    assert len(asked) > 10
    assert asked - there == set()
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"])
    assert all(set(rule) == {"alert", "expr", "for"} for rule in group["rules"])


def test_alerts_that_the_documents_name_exist() -> None:
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    for page in ("deploy.md", "monitoring.md"):
        for name in re.findall(r"`(EcgKa\w+)`", (ROOT / "docs" / page).read_text()):
            assert f"alert: {name}," in alerts
