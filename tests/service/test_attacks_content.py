"""What an attacker writes into files and fields: references to elsewhere, scripts, formulas, bombs."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import jwt
import numpy as np
import pydicom
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi.testclient import TestClient
from numpy.typing import NDArray

import ecg_ka
from service.app import create_app
from service.settings import Settings
from tests.ecg_ka.xml_writers import muse, muse_waveform
from tests.service.test_access import bearer
from tests.service.test_batches import work

SCRIPT = '"/><script>alert(1)</script><img src=x onerror=alert(1)>'
FORMULA = '=HYPERLINK("http://127.0.0.1:9/x","click")'
STEPS_A_MV = 1000 / 4.88
SHAPES = {"svg", "g", "defs", "pattern", "clipPath", "style", "title", "desc"}
SHAPES |= {"path", "rect", "line", "polyline", "text", "tspan"}


@contextmanager
def untouched() -> Iterator[str]:
    """An address on this machine to which nobody connects until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/secret"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.fixture(scope="module")
def xml_of(beats_mv: NDArray[np.float64]) -> Any:
    """A usable ECG in MUSE XML whose device has a name of the caller's."""
    counts = np.rint(beats_mv[[0, 1, *range(6, 12)]] * STEPS_A_MV).astype(np.int64)
    whole = muse(muse_waveform(counts))
    return lambda device: whole.replace(b">MAC55<", f">{escape(device)}<".encode())


@pytest.fixture(scope="module")
def exporting(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("exporting")
    with TestClient(create_app(Settings(bundle=bundle_folder, data=folder, allow_demo_exports=True))) as started:
        yield started


def predicted(client: TestClient, data: bytes, name: str = "ecg", **fields: str) -> Any:
    return client.post("/v1/predict", files={"file": (name, data)}, data=fields)


XML_REFERENCES = (
    '<!DOCTYPE RestingECG [<!ENTITY x SYSTEM "{0}">]><RestingECG>&x;</RestingECG>',
    '<!DOCTYPE RestingECG SYSTEM "{0}"><RestingECG/>',
    '<!DOCTYPE RestingECG [<!ENTITY % x SYSTEM "{0}"> %x;]><RestingECG/>',
    '<RestingECG xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{0}"/></RestingECG>',
    '<?xml-stylesheet href="{0}"?><AnnotatedECG xmlns="urn:hl7-org:v3" xsi:schemaLocation="urn:hl7-org:v3 {0}"/>',
)


@pytest.mark.parametrize("template", XML_REFERENCES)
def test_no_xml_makes_it_fetch_anything(client: TestClient, template: str) -> None:
    with untouched() as url:
        answer = predicted(client, template.format(url).encode())
        assert answer.status_code in (400, 415, 422), answer.text
        assert predicted(client, template.format("file:///etc/passwd").encode()).status_code == answer.status_code


def test_no_dicom_makes_it_fetch_anything(exporting: TestClient, dicom_bytes: bytes) -> None:
    with untouched() as url:
        dataset = pydicom.dcmread(io.BytesIO(dicom_bytes))
        dataset.RetrieveURL = dataset.RetrieveURI = url
        dataset.add_new(0x00080054, "AE", "127.0.0.1")  # Retrieve AE Title
        dataset.add_new(0x0040E011, "UI", "1.2.3")  # Retrieve Location UID
        written = io.BytesIO()
        dataset.save_as(written)
        for output in ("json", "dicom-sr", "fhir", "svg"):
            assert predicted(exporting, written.getvalue(), output=output).status_code == 200


def test_no_field_makes_it_fetch_anything(exporting: TestClient, json_bytes: bytes, dicom_bytes: bytes) -> None:
    with untouched() as url:
        for subject in (f"{url}/Patient/1", f"HOSPITAL|{url}", f"{url}|4711"):
            answer = predicted(exporting, dicom_bytes, output="fhir", subject=subject, client_reference=url)
            assert answer.status_code in (200, 422), answer.text
        assert predicted(exporting, json.dumps({"$ref": url, "fs_hz": 500}).encode()).status_code == 400
        assert predicted(exporting, url.encode()).status_code == 415
        assert predicted(exporting, dicom_bytes, name=url).status_code == 200
        hook = {"hook": "patient-view", "hookInstance": "1", "context": {"patientId": "1"}, "fhirServer": url}
        hook |= {"fhirAuthorization": {"access_token": "x"}, "prefetch": {ecg_ka.PREFETCH_KEY: {"reference": url}}}
        assert exporting.post(f"/cds-services/{ecg_ka.SERVICE_ID}", json=hook).status_code == 200


def test_no_token_makes_it_fetch_anything(bundle_folder: Path, tmp_path: Path) -> None:
    """Neither where it says that its keys lie, nor its issuer."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    known = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "k1"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [known]}))
    oidc = {"oidc_issuer": "https://idp.example.org", "oidc_audience": "ecg-ka"}
    settings = Settings(bundle=bundle_folder, oidc_jwks=str(tmp_path / "jwks.json"), **oidc)  # type: ignore[arg-type]
    with untouched() as url, TestClient(create_app(settings)) as client:
        claims = {"iss": url, "aud": "ecg-ka", "sub": "x", "exp": 2**33, "scope": "ecg-ka:admin"}
        for headers in ({"jku": url, "kid": "k1"}, {"x5u": url, "kid": url}, {"jwk": known, "kid": "k2"}):
            token = jwt.encode(claims, key, "RS256", headers=headers)
            assert client.get("/v1/model", headers=bearer(token)).status_code == 401


@pytest.mark.parametrize("device", [SCRIPT, FORMULA, "x\rOBX|9|NM|2823-3^Potassium^LN||9.9", "]]>&lt;", "\u202ex"])
def test_no_name_of_a_device_becomes_code(exporting: TestClient, xml_of: Any, device: str) -> None:
    answers = {name: predicted(exporting, xml_of(device), output=name) for name in ("json", "fhir", "hl7v2", "svg")}
    for name, answer in answers.items():
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        if name != "json":
            assert "sandbox" in answer.headers["content-security-policy"]
            assert answer.headers["content-disposition"].startswith("attachment")
    assert answers["json"].headers["content-type"] == "application/json"
    check_inert(answers["svg"].content)
    for narrative in re.findall(r'"div": ?"((?:[^"\\]|\\.)*)"', answers["fhir"].text):
        assert not re.search(r"<(script|img|a)\b", json.loads(f'"{narrative}"'))
    segments = [line[:3] for line in answers["hl7v2"].text.split("\r") if line]
    assert segments == [
        line[:3] for line in predicted(exporting, xml_of("MAC"), output="hl7v2").text.split("\r") if line
    ]
    assert "2823-3" not in answers["hl7v2"].text


def check_inert(page: bytes) -> None:
    """An SVG of shapes and text alone: nothing that runs, links or loads."""
    for element in ET.fromstring(page).iter():
        tag = element.tag.rpartition("}")[2]
        assert tag in SHAPES, tag
        assert not [name for name in element.attrib if name.startswith("on") or name.endswith("href")]
        assert "url(http" not in (element.text or "")


def test_a_pdf_runs_nothing(exporting: TestClient, xml_of: Any) -> None:
    page = predicted(exporting, xml_of(SCRIPT), output="pdf").content
    for word in (b"/JavaScript", b"/JS", b"/OpenAction", b"/AA", b"/URI", b"/Launch", b"/EmbeddedFile"):
        assert word not in page


def test_no_name_reaches_a_table_as_code(
    tmp_path: Path, bundle_folder: Path, estimator: ecg_ka.Estimator, xml_of: Any
) -> None:
    """Not that of a file, nor that of a device, nor the words of a refusal."""
    settings = Settings(bundle=bundle_folder, data=tmp_path / "data")
    with TestClient(create_app(settings)) as client:
        names = (FORMULA, SCRIPT, "@SUM(1)", "+1", "-1")
        sent = [("file", (name, xml_of(FORMULA))) for name in names] + [("file", ("=1.hea", b"=1+1"))]
        answer = client.post("/v1/batches", files=sent)
        assert answer.headers["content-type"] == "application/json"
        work(client.app_state["store"], estimator)
        table = client.get(f"{answer.headers['location']}/results.csv")
    rows = list(csv.reader(io.StringIO(table.text)))
    assert len(rows) == 1 + len(sent)
    for cell in (cell for row in rows for cell in row if not re.fullmatch(r"-?[0-9.e-]+", cell)):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
    assert "HYPERLINK" not in table.text
    assert "script" not in table.text


def bombs() -> dict[str, bytes]:
    """Small files that unpack or expand to much."""
    entities = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 12))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", bytes(300_000_000))
    nested = io.BytesIO()
    with zipfile.ZipFile(nested, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.zip", packed.getvalue())
    return {
        "zip": packed.getvalue(),
        "zip in a zip": nested.getvalue(),
        "xml": f'<!DOCTYPE RestingECG [<!ENTITY x0 "lol">{entities}]><RestingECG>&x11;</RestingECG>'.encode(),
        "deep xml": b"<RestingECG>" + b"<a>" * 90_000,
        "deep json": b'{"signal_mv": ' + b"[" * 200_000,
        "wide json": b'{"signal_mv": [' + b"[]," * 500_000,
    }


def test_a_bomb_is_refused_at_once_on_every_route(client: TestClient) -> None:
    for what, bomb in bombs().items():
        for path in ("/v1/predict", "/v1/quality", "/v1/explain"):
            answer = client.post(path, files={"file": ("a", bomb)})
            assert answer.status_code in (400, 413, 415, 422), (what, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "application/x-www-form-urlencoded",
        "multipart/mixed; boundary=b",
        "",
        "\u00e4/x",
    ],
)
def test_a_body_of_another_type_is_not_looked_at(client: TestClient, content_type: str) -> None:
    for path in ("/v1/predict", "/v1/explain", "/v1/personalize", "/v1/quality"):
        answer = client.post(path, content=b"--b--", headers=[(b"Content-Type", content_type.encode("latin-1"))])
        assert (answer.status_code, answer.json()["type"]) == (415, "urn:ecg-ka:error:unsupported-body")
