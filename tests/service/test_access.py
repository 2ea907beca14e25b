"""Keys, tokens, scopes, rates: who gets in, and what guessing brings."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi.testclient import TestClient

from service import __main__ as service_program
from service.access.buckets import Buckets
from service.access.callers import Callers
from service.app import create_app
from service.settings import Settings, SettingsError
from service.storage import keys
from service.storage.keys import InvalidKey, Scope
from service.storage.store import Act, Store, now

ACT = Act("operator", "test")
OPEN = {"/healthz", "/readyz"}
FEEDBACK = {"estimate_id": "0" * 32, "potassium": 4.4, "unit": "mmol/L", "haemolysed": False}
FEEDBACK |= {"collected_at": "2024-05-06T07:30:00Z"}


def made(store: Store, name: str, *scopes: str) -> str:
    token, key = keys.new_key(name, scopes, None)
    keys.create(store, ACT, key)
    return token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def guarded(keeping: TestClient) -> TestClient:
    made(keeping.app_state["store"], "archive", "predict")
    return keeping


def routes(client: TestClient) -> Iterator[tuple[str, str]]:
    described = client.get("/openapi.json").json()["paths"]
    for path, methods in described.items():
        for method in methods:
            yield method.upper(), path.replace("{batch_id}", "0" * 32)


def test_once_there_is_a_key_every_route_but_the_probes_asks_for_one(guarded: TestClient) -> None:
    found = list(routes(guarded))
    assert len(found) > 10
    for method, path in found:
        answer = guarded.request(method, path)
        assert (answer.status_code == 401) is (path not in OPEN), path
        if path not in OPEN:
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["type"] == "urn:ecg-ka:error:unauthenticated"


def test_the_description_names_the_keys_of_every_guarded_route(client: TestClient) -> None:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for described in methods.values():
            assert ("security" in described) is (path not in OPEN), path


@pytest.mark.parametrize(
    ("scope", "method", "path", "json_body"),
    [
        ("predict", "POST", "/v1/predict", None),
        ("predict", "POST", "/v1/explain", None),
        ("predict", "POST", "/v1/personalize", None),
        ("predict", "POST", "/v1/quality", None),
        ("predict", "GET", f"/v1/batches/{'0' * 32}", None),
        ("feedback", "POST", "/v1/feedback", FEEDBACK),
        ("admin", "GET", "/v1/audit", None),
    ],
)
def test_a_key_opens_what_its_scope_says(
    keeping: TestClient, scope: str, method: str, path: str, json_body: Any
) -> None:
    store = keeping.app_state["store"]
    tokens = {name: made(store, name, name) for name in map(str, Scope)}
    for name, token in tokens.items():
        answer = keeping.request(method, path, json=json_body, headers={"X-API-Key": token})
        assert (answer.status_code == 403) is (name not in (scope, "admin")), (name, answer.text)
        assert answer.status_code != 401
        assert keeping.get("/v1/model", headers=bearer(token)).status_code == 200


def test_the_secret_of_a_key_is_not_kept(store: Store, tmp_path: Path) -> None:
    token = made(store, "archive", "predict")
    kept = keys.listed(store)[0]
    assert token not in repr(kept)
    secret = token.split("_", 2)[2]  # what follows may hold further underscores
    assert len(secret) > 40
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_key_ends_when_it_expires_is_revoked_or_rotated(keeping: TestClient) -> None:
    store = keeping.app_state["store"]
    at = now()
    token = made(store, "archive", "predict")
    with pytest.raises(InvalidKey, match="already"):
        made(store, "archive", "feedback")
    assert keeping.get("/v1/model", headers=bearer(token)).status_code == 200
    newer = keys.rotate(store, ACT, "archive", at - at)
    kept = {key.id: key for key in keys.listed(store)}
    old, new = kept[str(keys.id_of(token))], kept[str(keys.id_of(newer))]
    assert (old.name, old.scopes) == (new.name, new.scopes)
    assert not old.opens(token, now())
    assert new.opens(newer, now())
    assert not new.opens(token, now())
    assert keys.revoke(store, ACT, "archive") == 2
    assert not any(key.opens(newer, now()) for key in keys.listed(store))
    assert keeping.get("/v1/model", headers=bearer(newer)).status_code == 401


def test_a_rotated_key_ends_when_the_old_one_would_have(store: Store) -> None:
    keys.create(store, ACT, keys.new_key("lab", ["predict"], timedelta(days=30))[1])
    (old,) = keys.listed(store)
    newer = keys.id_of(keys.rotate(store, ACT, "lab", timedelta(0)))
    assert old.expires_at is not None
    (end,) = (key.expires_at for key in keys.listed(store) if key.id == newer)
    assert end is not None
    assert abs(end - old.expires_at) < timedelta(minutes=1)


def test_a_revoked_key_does_not_open_the_service_to_everyone(keeping: TestClient) -> None:
    store = keeping.app_state["store"]
    assert keeping.get("/v1/model").status_code == 200
    made(store, "archive", "predict")
    keys.revoke(store, ACT, "archive")
    keeping.app_state["guard"]._open_until = 0.0  # what was remembered for 10 s
    assert keeping.get("/v1/model").status_code == 401


def test_guessing_is_stopped_and_the_holder_of_a_key_goes_on(guarded: TestClient) -> None:
    token = made(guarded.app_state["store"], "other", "predict")
    assert guarded.get("/v1/model", headers=bearer(token)).status_code == 200
    wrong = token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB")
    statuses = [guarded.get("/v1/model", headers=bearer(wrong)).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    stopped = guarded.get("/v1/model", headers=bearer("ecgka_" + "f" * 16 + "_" + "x" * 43))
    assert (stopped.status_code, int(stopped.headers["retry-after"]) >= 1) == (429, True)
    assert guarded.get("/v1/model", headers=bearer(token)).status_code == 200


def test_every_wrong_token_is_compared_in_constant_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, kept: dict[str, Any]
) -> None:
    """Unknown id, wrong secret and nonsense all end in one comparison of two whole digests."""
    token = made(store, "archive", "predict")
    compared: list[tuple[int, int]] = []

    def compare(a: str, b: str) -> bool:
        compared.append((len(a), len(b)))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(keys, "compare_digest", compare)
    callers = Callers(Settings(**kept), store)
    unknown = f"ecgka_{'0' * 16}_{token[-43:]}"
    for wrong in (unknown, token[:-1] + "!", token[:-4] + "AAAA", "", "é", "a.b.c", "\udcff"):
        assert callers.find(wrong) is None
    assert compared == [(64, 64)] * 7
    found = callers.find(token)
    assert found is not None
    assert found.name == "archive"


def test_one_caller_too_fast_is_told_to_wait(tmp_path: Path, bundle_folder: Path) -> None:
    with TestClient(create_app(Settings(bundle=bundle_folder, data=tmp_path, rate_limit_per_s=0.5))) as client:
        answers = [client.get("/v1/model") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 3
        assert client.get("/healthz").status_code == 200


def test_buckets_fill_again_and_forget_old_names() -> None:
    clock = [0.0]
    buckets = Buckets(2.0, burst=1.0, clock=lambda: clock[0])
    assert buckets.wait_s("a") == 0
    buckets.take("a")
    assert buckets.wait_s("a") == 0.5
    clock[0] = 0.5
    assert buckets.wait_s("a") == 0
    for number in range(20_000):
        buckets.take(str(number))
    assert len(buckets._filled) == 10_000


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_a_network_address_without_any_key_does_not_start(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []
    monkeypatch.setattr("service.__main__.uvicorn.run", lambda *_, **options: started.append(options["host"]))
    monkeypatch.setattr("service.__main__.logs.configure", lambda: None)
    monkeypatch.setattr("sys.argv", ["service"])
    monkeypatch.setenv("ECG_KA_HOST", host)
    monkeypatch.setenv("ECG_KA_DATA", str(tmp_path))
    assert service_program.main() == 2
    assert "ECG_KA_ALLOW_ANONYMOUS" in capsys.readouterr().err
    monkeypatch.setenv("ECG_KA_ALLOW_ANONYMOUS", "1")
    assert service_program.main() == 0
    monkeypatch.delenv("ECG_KA_ALLOW_ANONYMOUS")
    monkeypatch.setattr("sys.argv", ["service", "keys", "create", "archive", "--scopes", "predict"])
    assert service_program.main() == 0
    token = capsys.readouterr().out.strip()
    assert keys.id_of(token)
    monkeypatch.setattr("sys.argv", ["service"])
    assert service_program.main() == 0
    assert started == [host, host]


def test_an_application_on_a_network_address_lets_nobody_in_without_a_key(bundle_folder: Path) -> None:
    with TestClient(create_app(Settings(bundle=bundle_folder, host="0.0.0.0"))) as client:
        assert client.get("/v1/model").status_code == 401
        assert client.get("/healthz").status_code == 200


def test_keys_of_a_file_need_no_storage(
    tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["service", "keys", "line", "archive", "--scopes", "predict"])
    assert service_program.main() == 0
    shown = capsys.readouterr()
    file, token = tmp_path / "keys", shown.err.split()[-1]
    file.write_text(shown.out)
    assert token not in shown.out
    with TestClient(create_app(Settings(bundle=bundle_folder, host="0.0.0.0", keys_file=file))) as client:
        assert client.get("/v1/model").status_code == 401
        assert client.get("/v1/model", headers=bearer(token)).status_code == 200
        assert client.get("/v1/audit", headers=bearer(token)).status_code == 403
    for content in ("", "{}", "[1]", "no json"):
        file.write_text(content)
        with pytest.raises(SettingsError, match="ECG_KA_KEYS_FILE"), TestClient(create_app(Settings(keys_file=file))):
            pass


def test_the_commands_make_list_and_end_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ECG_KA_DATA", str(tmp_path))

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["service", *arguments])
        status = service_program.main()
        shown = capsys.readouterr()
        return status, shown.out + shown.err

    assert run("keys", "create", "lab", "--scopes", "feedback", "--days", "30")[0] == 0
    assert run("keys", "create", "lab", "--scopes", "feedback")[0] == 2
    assert run("keys", "create", "a b", "--scopes", "feedback")[0] == 2
    assert run("keys", "rotate", "lab", "--overlap-hours", "1")[0] == 0
    assert run("keys", "list")[1].count("lab  feedback") == 2
    assert run("keys", "revoke", "lab")[0] == 0
    assert run("keys", "revoke", "lab")[0] == 1
    status, shown = run("audit")
    assert (status, "3 entries" in shown, "whole" in shown) == (0, True, True)
    assert run("audit", "--head", "3:" + "0" * 64)[0] == 1


# OIDC

ISSUER = "https://idp.example.org"


@pytest.fixture(scope="module")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def oidc(tmp_path: Path, bundle_folder: Path, signing_key: rsa.RSAPrivateKey) -> Iterator[TestClient]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(signing_key.public_key(), as_dict=True)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public | {"kid": "k1", "alg": "RS256", "use": "sig"}]}))
    chosen: dict[str, Any] = {"oidc_issuer": ISSUER, "oidc_audience": "ecg-ka"}
    chosen |= {"oidc_jwks": str(tmp_path / "jwks.json"), "failed_keys_per_minute": 100}
    with TestClient(create_app(Settings(bundle=bundle_folder, host="0.0.0.0", **chosen))) as client:
        yield client


def claims(**changed: Any) -> dict[str, Any]:
    good = {"iss": ISSUER, "aud": "ecg-ka", "sub": "u1", "exp": int(time.time()) + 60, "scope": "openid ecg-ka:predict"}
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def test_a_token_of_the_issuer_opens_what_its_scopes_say(oidc: TestClient, signing_key: rsa.RSAPrivateKey) -> None:
    def status(method: str, path: str, **changed: Any) -> int:
        token = jwt.encode(claims(**changed), signing_key, "RS256", headers={"kid": "k1"})
        return oidc.request(method, path, headers=bearer(token)).status_code

    assert oidc.get("/v1/model").status_code == 401
    assert status("POST", "/v1/predict") == 415
    assert status("GET", "/v1/audit") == 403
    assert status("GET", "/v1/audit", scope=None, roles=["ecg-ka:admin"]) == 501
    assert status("POST", "/v1/predict", scope="predict admin") == 403


@pytest.mark.parametrize(
    "forge",
    [
        lambda key: jwt.encode(claims(exp=int(time.time()) - 60), key, "RS256", headers={"kid": "k1"}),
        lambda key: jwt.encode(claims(exp=None), key, "RS256", headers={"kid": "k1"}),
        lambda key: jwt.encode(claims(sub=None), key, "RS256", headers={"kid": "k1"}),
        lambda key: jwt.encode(claims(iss="https://other.example.org"), key, "RS256", headers={"kid": "k1"}),
        lambda key: jwt.encode(claims(aud="other"), key, "RS256", headers={"kid": "k1"}),
        lambda key: jwt.encode(claims(nbf=int(time.time()) + 600), key, "RS256", headers={"kid": "k1"}),
        lambda key: jwt.encode(claims(), key, "RS256", headers={"kid": "k2"}),
        lambda key: jwt.encode(claims(), key, "RS256"),
        lambda key: jwt.encode(claims(), key, "RS512", headers={"kid": "k1"}),
        lambda key: jwt.encode(claims(), "", "none", headers={"kid": "k1"}),
        lambda key: jwt.encode(claims(), "k" * 64, "HS256", headers={"kid": "k1"}),
        lambda key: jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "k1"}),
        lambda key: jwt.encode(
            claims(), rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256", headers={"kid": "k1"}
        ),
        lambda key: "a.b.c",
        lambda key: "..",
    ],
)
def test_any_other_token_is_refused(
    oidc: TestClient, signing_key: rsa.RSAPrivateKey, forge: Callable[[rsa.RSAPrivateKey], str]
) -> None:
    assert oidc.get("/v1/model", headers=bearer(forge(signing_key))).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": ISSUER},
        {"oidc_issuer": ISSUER, "oidc_audience": "a", "oidc_jwks": "http://idp.example.org/jwks"},
        {"oidc_issuer": ISSUER, "oidc_audience": "a", "oidc_jwks": "file:///etc/passwd"},
    ],
)
def test_settings_of_an_issuer_are_whole_and_safe(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="oidc_"):
        Settings(**wrong)  # type: ignore[arg-type]
