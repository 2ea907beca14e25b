"""Which part of the beat moves the estimate, over HTTP."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from sqlalchemy import func, select

import ecg_ka
from service import examples, schemas
from service.app import create_app
from service.settings import Settings
from service.storage import audit
from service.storage.store import Store
from service.storage.tables import ESTIMATES
from tests.service.test_app import check_mirrors


def explained(client: Any, data: bytes, **fields: str) -> Any:
    return client.post("/v1/explain", files={"file": ("ecg", data)}, data=fields)


def test_the_table_is_that_of_the_library(client: TestClient, estimator: ecg_ka.Estimator, dicom_bytes: bytes) -> None:
    answer = explained(client, dicom_bytes)
    assert answer.status_code == 200, answer.text
    found = ecg_ka.explain(estimator, ecg_ka.read(dicom_bytes))
    told = schemas.ExplanationOut.model_validate(answer.json())
    assert told.potassium_mmol_l == found.potassium_mmol_l
    assert [(e.wave, tuple(e.leads), e.change_mmol_l) for e in told.effects] == [
        (e.wave, e.leads, e.change_mmol_l) for e in found.effects
    ]
    assert [(s.wave, s.start_s, s.stop_s) for s in told.spans] == [(s.wave, s.start_s, s.stop_s) for s in found.spans]
    assert "DEMO_MODEL" in {flag.name for flag in told.flags}
    assert told.disclaimer == ecg_ka.DISCLAIMER


def test_its_parts_mirror_those_of_the_library() -> None:
    check_mirrors(schemas.WaveEffectOut, ecg_ka.WaveEffect)
    assert {"potassium_mmol_l", "effects", "spans"} <= set(schemas.ExplanationOut.model_fields)
    schemas.ExplanationOut.model_validate(examples.explanation())


def test_the_page_is_shaded_and_inert(client: TestClient, estimator: ecg_ka.Estimator, dicom_bytes: bytes) -> None:
    record = ecg_ka.read(dicom_bytes)
    answered = ecg_ka.Answered(
        estimate=estimator.estimate(record),
        record=record,
        source=dicom_bytes,
        issued=datetime.now().astimezone(),
        explanation=ecg_ka.explain(estimator, record),
    )
    page = explained(client, dicom_bytes, output="svg")
    assert page.content == ecg_ka.exported(answered, ecg_ka.Output.SVG)
    assert page.content != client.post("/v1/predict", files={"file": dicom_bytes}, data={"output": "svg"}).content
    assert page.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in page.headers["content-security-policy"]
    pdf = explained(client, dicom_bytes, output="pdf")
    assert (pdf.headers["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")


def test_what_is_withheld_is_not_explained(
    client: TestClient, beats_mv: NDArray[np.float64], csv_of: Callable[..., bytes]
) -> None:
    answer = explained(client, csv_of(beats_mv * 100), fs_hz="500")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:ecg-ka:error:unusable-record")
    assert "withheld" in answer.json()["detail"]


def test_what_is_withheld_as_unlike_the_training_is_not_explained(tmp_path: Path, dicom_bytes: bytes) -> None:
    """By a bundle that withholds every ECG as novel."""
    shutil.copytree(ecg_ka.SHIPPED, tmp_path / "bundle", ignore=shutil.ignore_patterns("references.npz"))
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    manifest["policy"]["withhold"].append("OUT_OF_DISTRIBUTION")
    manifest["policy"]["novelty_p"] = 0.999
    manifest["provenance"]["is_simulated"] = False
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(manifest))
    with TestClient(create_app(Settings(bundle=tmp_path / "bundle"))) as client:
        withheld = client.post("/v1/predict", files={"file": ("ecg", dicom_bytes)}).json()
        answer = explained(client, dicom_bytes)
    assert withheld["abstained"] is True
    assert answer.status_code == 422
    assert withheld["abstain_reasons"][0] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("data", "fields", "status"),
    [(b"", {}, 400), (b"x", {}, 415), (None, {"output": "fhir"}, 422), (None, {"subject": "Patient/1"}, 422)],
)
def test_what_cannot_be_explained_is_refused(
    client: TestClient, dicom_bytes: bytes, data: bytes | None, fields: dict[str, str], status: int
) -> None:
    answer = explained(client, dicom_bytes if data is None else data, **fields)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_without_neurokit2_it_says_what_to_install(
    client: TestClient, dicom_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    answer = explained(client, dicom_bytes)
    assert (answer.status_code, answer.json()["type"]) == (501, "urn:ecg-ka:error:missing-dependency")
    assert "ecg-ka[quality]" in answer.json()["detail"]


def test_nothing_is_kept_but_that_it_was_done(keeping: TestClient, dicom_bytes: bytes) -> None:
    answer = explained(keeping, dicom_bytes)
    assert answer.status_code == 200
    assert "x-estimate-id" not in answer.headers
    check_only_noted(keeping.app_state["store"], "estimate.explain")


def check_only_noted(store: Store, action: str) -> None:
    """The trail says that it was done; no estimate is kept, and nothing lies in the spool."""
    with store.database.read() as connection:
        assert [entry.action for entry in audit.entries(connection)] == [action]
        assert audit.verify(connection, store.secret).fault is None
        assert connection.execute(select(func.count()).select_from(ESTIMATES)).scalar_one() == 0
    assert list(store.spool.root.iterdir()) == []
