"""The image from outside: read-only, as nobody in particular, it gives the library's numbers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ecg_ka
from tests.verify import container
from tests.verify.container import ROOT, Container

pytestmark = [pytest.mark.timeout(1800), pytest.mark.shared]
TAG = "ecg-ka-verify"
GOAL_MB = 700
FILES = (
    ("formats/scp/test.scp",),
    ("formats/muse/braveheart-example1.xml",),
    ("formats/dicom/ecgprocess-example-DICOM1.dcm",),
    ("ptbxl/records100/00001_lr.hea", "ptbxl/records100/00001_lr.dat"),
    ("cinc2020/Q0001.hea", "cinc2020/Q0001.mat"),
)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    container.build(TAG)
    yield TAG
    container.remove(TAG)


@pytest.fixture(scope="module")
def service(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The service with no model yet, and open to all."""
    log = tmp_path_factory.mktemp("image") / "service.log"
    with container.started(image, log, allow_anonymous=1, bundle="/data/model") as running:
        yield running


def wait_until_ready(service: Container) -> None:
    deadline = time.monotonic() + 60
    while service.client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline, service.log.read_text()[-3000:]
        time.sleep(0.1)


@pytest.fixture(scope="module")
def ready(service: Container) -> Container:
    """The same once it was told of the shipped model."""
    assert service.client.get("/readyz").status_code == 503
    used = service.execute("python", "-m", "service", "model", "use")
    assert used.returncode == 0, used.stderr
    assert service.execute("sh", "-c", f"kill -HUP {service.pid}").returncode == 0
    wait_until_ready(service)
    return service


def test_it_is_small(image: str) -> None:
    above_base_mb = container.size_mb(image) - container.size_mb(container.BASE)
    print(f"\nimage: {above_base_mb} MB unpacked above the base")
    assert above_base_mb <= GOAL_MB


def test_it_runs_as_nobody_and_writes_to_data_and_tmp_alone(ready: Container) -> None:
    status = Path(f"/proc/{ready.pid}/status").read_text()
    assert re.search(r"^Uid:\t10001\t10001\t10001\t10001$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    for place, may in (("/app", False), ("/opt/venv", False), ("/", False), ("/tmp", True), ("/data", True)):
        assert (ready.execute("sh", "-c", f"echo x > {place}/x").returncode == 0) is may, place


@pytest.mark.parametrize("name", ["torch", "pip", "pytest", "polars", "pyarrow", "training", "tests"])
def test_it_holds_nothing_that_serves_nobody(ready: Container, name: str) -> None:
    found = ready.execute(
        "python", "-c", f"import importlib.util as u; raise SystemExit(u.find_spec({name!r}) is None)"
    )
    assert found.returncode == 1, found.stderr


@pytest.mark.parametrize("names", FILES, ids=lambda names: names[0])
def test_it_gives_the_number_of_the_library(ready: Container, shared_data: Path, names: tuple[str, ...]) -> None:
    contents = {Path(name).name: (shared_data / name).read_bytes() for name in names}
    answer = ready.client.post("/v1/predict", files=[("file", item) for item in contents.items()])
    assert answer.status_code == 200, answer.text
    source = contents if len(contents) > 1 else next(iter(contents.values()))
    expected = ecg_ka.Estimator.load().estimate(ecg_ka.read(source)).to_dict()
    assert answer.json()["potassium_mmol_l"] == pytest.approx(expected["potassium_mmol_l"], abs=1e-4)
    assert answer.json()["interval"] == pytest.approx(expected["interval"], abs=1e-4)
    assert [flag["name"] for flag in answer.json()["flags"]] == [flag["name"] for flag in expected["flags"]]


def test_it_explains(ready: Container, shared_data: Path) -> None:
    answer = ready.client.post("/v1/explain", files={"file": ("a", (shared_data / FILES[2][0]).read_bytes())})
    assert answer.status_code == 200, answer.text


def test_every_output_can_be_written_there(ready: Container, shared_data: Path) -> None:
    ecg = (shared_data / FILES[2][0]).read_bytes()
    for output, status in (("pdf", 200), ("svg", 200), ("json", 200), ("fhir", 409), ("hl7v2", 409), ("dicom-sr", 409)):
        answer = ready.client.post("/v1/predict", files={"file": ("a", ecg)}, data={"output": output})
        assert answer.status_code == status, output
    allowed = ("env", "ECG_KA_PORT=", "python", "-c", "import fhir.resources.R4B.bundle, highdicom.sr, psycopg")
    assert ready.execute(*allowed).returncode == 0


def test_a_batch_is_done_by_the_worker_of_the_image(ready: Container, shared_data: Path) -> None:
    files = [("file", (Path(name).name, (shared_data / name).read_bytes())) for names in FILES for name in names]
    submitted = ready.client.post("/v1/batches", files=files)
    assert submitted.status_code == 202, submitted.text
    address = submitted.headers["location"]
    with subprocess.Popen(ready.command("python", "-m", "service", "worker"), stderr=subprocess.PIPE) as worker:
        deadline = time.monotonic() + 120
        while ready.client.get(address).json()["state"] != "done" and time.monotonic() < deadline:
            time.sleep(0.1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 0
    lines = [json.loads(line) for line in ready.client.get(f"{address}/results.ndjson").text.splitlines()]
    assert [line["status"] for line in lines] == [200] * len(FILES)


def test_health_metrics_and_the_health_check_of_the_dockerfile(ready: Container) -> None:
    assert ready.client.get("/healthz").json() == {"status": "alive"}
    metrics = ready.client.get("/metrics").text
    for line in ("ecg_ka_bundle_loaded 1.0", "ecg_ka_storage_up 1.0", "ecg_ka_bundle_refused 0.0"):
        assert line in metrics
    (check,) = re.findall(r"^HEALTHCHECK .*? CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert ready.execute(*json.loads(check)).returncode == 0
    assert ready.execute("env", "ECG_KA_PORT=1", *json.loads(check)).returncode == 1


def test_a_key_made_inside_closes_it_for_everyone_else(ready: Container, shared_data: Path) -> None:
    """The last test that asks without one."""
    made = ready.execute("python", "-m", "service", "keys", "create", "archive", "--scopes", "predict")
    assert made.returncode == 0, made.stderr
    key = {"X-API-Key": made.stdout.strip()}
    ecg = {"file": ("a", (shared_data / FILES[0][0]).read_bytes())}
    deadline = time.monotonic() + 30  # a caller is remembered for 10 s
    while ready.client.post("/v1/predict", files=ecg).status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert ready.client.post("/v1/predict", files=ecg, headers=key).status_code == 200
    assert ready.client.post("/v1/model/reload", headers=key).status_code == 403


def test_without_a_key_or_the_word_of_the_operator_it_does_not_start(image: str) -> None:
    started = subprocess.run([container.PROGRAM, "start", image], capture_output=True, text=True, timeout=300)
    assert started.returncode == 2
    assert "ECG_KA_ALLOW_ANONYMOUS" in started.stdout + started.stderr
