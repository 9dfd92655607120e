"""The stand-in for people: sign-in, one click for a role, the console, and what is behind an instance's gate."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
import requests

from tests.cloud.by_sdk import make
from tests.cloud.steer import ADA, ROLE_NAME, Steer, cloud_in_thread

BACK = "http://127.0.0.1:9/services/desk/linked"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def cloud() -> Iterator[Steer]:
    """A stand-in whose time stands still."""
    with cloud_in_thread() as steer:
        yield steer


@pytest.fixture
def http_session() -> Iterator[requests.Session]:
    """A browser without scripts."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def asked(cloud: Steer, **changes: str) -> dict[str, str]:
    """What an application asks with."""
    return {
        "client_id": cloud.keys.oauth_client_id,
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "openid aliuid",
        "state": "s1",
        "nonce": "n1",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }


def code(cloud: Steer, http_session: requests.Session, **form: str) -> str:
    """Agree on the sign-in page."""
    answer = http_session.post(
        f"{cloud.endpoints.main}/oauth2/v1/auth",
        data={**asked(cloud), "account": ADA, "as": "main", **form},
        allow_redirects=False,
        timeout=10,
    )
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert query["state"] == ["s1"]
    return query["code"][0]


def token(cloud: Steer, http_session: requests.Session, **form: str) -> requests.Response:
    """A code for a token."""
    data = {
        "grant_type": "authorization_code",
        "client_id": cloud.keys.oauth_client_id,
        "client_secret": cloud.keys.oauth_client_secret,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
        **form,
    }
    return http_session.post(f"{cloud.endpoints.main}/v1/token", data=data, timeout=10)


def test_signing_in_proves_an_account_and_nothing_else(cloud: Steer, http_session: requests.Session) -> None:
    """By the addresses that discovery names; the id token is signed; no cloud call is made."""
    found = http_session.get(f"{cloud.endpoints.main}/.well-known/openid-configuration", timeout=10).json()
    page = http_session.get(f"{found['authorization_endpoint']}?{urlencode(asked(cloud))}", timeout=10)
    assert ADA in page.text
    assert "DEMO" in page.text
    given = token(cloud, http_session, code=code(cloud, http_session)).json()
    key = jwt.PyJWK(http_session.get(found["jwks_uri"], timeout=10).json()["keys"][0])
    claims = jwt.decode(given["id_token"], key, audience=cloud.keys.oauth_client_id, issuer=found["issuer"])
    assert (claims["aid"], claims["nonce"]) == (ADA, "n1")
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    assert http_session.get(found["userinfo_endpoint"], headers=bearer, timeout=10).json()["aid"] == ADA
    assert {call.service for call in cloud.calls()} == {"oauth"}
    assert cloud.mutations() == []


def test_a_ram_user_is_somebody_else_than_the_account(cloud: Steer, http_session: requests.Session) -> None:
    """`uid` is the person, `aid` the account that pays."""
    given = token(cloud, http_session, code=code(cloud, http_session, **{"as": "ram"})).json()
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    who = http_session.get(f"{cloud.endpoints.main}/v1/userinfo", headers=bearer, timeout=10).json()
    assert who["aid"] == ADA
    assert who["uid"] != ADA


def test_a_code_is_good_once_and_for_who_asked(cloud: Steer, http_session: requests.Session) -> None:
    """With the right verifier, secret and address, within ten minutes."""
    good = code(cloud, http_session)
    assert token(cloud, http_session, code=good).status_code == 200
    assert token(cloud, http_session, code=good).json() == {"error": "invalid_grant"}
    for wrong, error in (
        ({"code_verifier": "x" * 50}, "invalid_grant"),
        ({"redirect_uri": BACK + "x"}, "invalid_grant"),
        ({"client_secret": "x"}, "invalid_client"),
    ):
        assert token(cloud, http_session, code=code(cloud, http_session), **wrong).json() == {"error": error}
    old = code(cloud, http_session)
    cloud.advance(601)
    assert token(cloud, http_session, code=old).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "other"},
        {"redirect_uri": "http://evil.example/"},
        {"response_type": "token"},
        {"scope": "aliuid"},
        {"code_challenge_method": "plain"},
    ],
    ids=str,
)
def test_nobody_is_sent_back_to_a_stranger(cloud: Steer, http_session: requests.Session, wrong: dict[str, str]) -> None:
    """A wrong question is answered here, and not by a redirect."""
    address = f"{cloud.endpoints.main}/oauth2/v1/auth"
    for answer in (
        http_session.get(f"{address}?{urlencode(asked(cloud, **wrong))}", allow_redirects=False, timeout=10),
        http_session.post(address, data={**asked(cloud, **wrong), "account": ADA}, allow_redirects=False, timeout=10),
    ):
        assert answer.status_code == 400


def test_no_is_an_answer(cloud: Steer, http_session: requests.Session) -> None:
    """The application hears of it."""
    answer = http_session.post(
        f"{cloud.endpoints.main}/oauth2/v1/auth", data={**asked(cloud), "no": "1"}, allow_redirects=False, timeout=10
    )
    assert parse_qs(urlsplit(answer.headers["Location"]).query) == {"state": ["s1"], "error": ["access_denied"]}


TEMPLATE: dict[str, Any] = {
    "ROSTemplateFormatVersion": "2015-09-01",
    "Parameters": {"ExternalId": {"Type": "String"}},
    "Resources": {
        "Role": {
            "Type": "ALIYUN::RAM::Role",
            "Properties": {
                "RoleName": ROLE_NAME,
                "AssumeRolePolicyDocument": {
                    "Version": "1",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": "sts:AssumeRole",
                            "Principal": {"RAM": ["acs:ram::1000000000000001:user/freepool"]},
                            "Condition": {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}},
                        }
                    ],
                },
                "Policies": [
                    {
                        "PolicyName": "FreepoolPaid",
                        "PolicyDocument": {
                            "Version": "1",
                            "Statement": [{"Effect": "Allow", "Action": "paidsw:*", "Resource": "*"}],
                        },
                    }
                ],
            },
        }
    },
}


@pytest.fixture
def template_url() -> Iterator[str]:
    """Where a template is served."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(TEMPLATE).encode())

        def log_message(self, *_: object) -> None:
            "None."

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/role.json"
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_one_click_makes_the_role(cloud: Steer, http_session: requests.Session, template_url: str) -> None:
    """The page shows what will be made, and only its button makes it."""
    query = {"templateUrl": template_url, "parameters": json.dumps({"ExternalId": "fp-1234567890"})}
    address = f"{cloud.endpoints.main}/ros/cn-hangzhou/stacks/create"
    page = http_session.get(f"{address}?{urlencode(query)}", timeout=10)
    assert "fp-1234567890" in page.text
    assert cloud.ask("accounts")[0]["roles"] == {}
    made = http_session.post(address, data={**query, "account": ADA}, timeout=10)
    assert f"acs:ram::{ADA}:role/{ROLE_NAME}" in made.text
    [role] = cloud.ask("accounts")[0]["roles"].values()
    assert role["trust"]["Statement"][0]["Condition"]["StringEquals"] == {"sts:ExternalId": "fp-1234567890"}


@pytest.mark.parametrize("url", ["http://192.0.2.1/x", "file:///etc/passwd", ""])
def test_a_template_comes_from_this_machine(cloud: Steer, http_session: requests.Session, url: str) -> None:
    """A stand-in fetches nothing from elsewhere."""
    query = urlencode({"templateUrl": url, "parameters": json.dumps({"ExternalId": "fp-1234567890"})})
    address = f"{cloud.endpoints.main}/ros/cn-hangzhou/stacks/create?{query}"
    assert http_session.get(address, timeout=10).status_code == 400


def test_a_role_from_two_documents(cloud: Steer, http_session: requests.Session) -> None:
    """As one pastes them into the console; and taken away again there."""
    properties = TEMPLATE["Resources"]["Role"]["Properties"]
    form = {
        "name": "Pasted",
        "trust": json.dumps(properties["AssumeRolePolicyDocument"]),
        "permissions": json.dumps(properties["Policies"][0]["PolicyDocument"]),
    }
    console = f"{cloud.endpoints.main}/console/{ADA}"
    assert http_session.post(f"{console}/roles", data={**form, "trust": "{"}, timeout=10).status_code == 400
    assert "role/Pasted" in http_session.post(f"{console}/roles", data=form, timeout=10).text
    arn = f"acs:ram::{ADA}:role/Pasted"
    assert "role/Pasted" not in http_session.post(f"{console}/roles/drop", data={"arn": arn}, timeout=10).text


def test_the_gate_opens_with_a_token_and_stays_open_with_a_cookie(cloud: Steer, http_session: requests.Session) -> None:
    """The token leaves the address bar at once; another instance's gate stays shut."""
    url, key = make(cloud)
    assert http_session.get(f"{url}lab/", timeout=10).status_code == 403
    assert http_session.get(f"{url}lab/?token=wrong", timeout=10).status_code == 403
    answer = http_session.get(f"{url}lab/?token={key}", timeout=10)
    assert answer.status_code == 200
    assert "token" not in answer.url
    assert http_session.get(f"{url}lab/", timeout=10).status_code == 200
    assert http_session.cookies.list_paths() == [urlsplit(url).path]


def test_files_are_handed_over_as_jupyter_does(cloud: Steer, http_session: requests.Session) -> None:
    """Text, notebooks, bytes, folders, chunks: what was put is what is got."""
    url, key = make(cloud)
    http_session.headers["Authorization"] = f"token {key}"
    api = f"{url}api/contents"

    def put(path: str, **model: Any) -> int:
        return http_session.put(f"{api}/{path}", json=model, timeout=10).status_code

    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    assert put("work", type="directory") == 201
    assert put("work/a.txt", type="file", format="text", content="你好") == 201
    assert put("work/a.txt", type="file", format="text", content="again") == 200
    assert put("work/n.ipynb", type="notebook", format="json", content=notebook) == 201
    for chunk, data in ((1, b"\x00\x01"), (2, b"\x02"), (-1, b"\x03")):
        content = base64.b64encode(data).decode()
        assert put("b.bin", type="file", format="base64", content=content, chunk=chunk) in (200, 201)
    assert put("nowhere/a.txt", type="file", format="text", content="") == 404
    assert put("work/%2e%2e%2fb.txt", type="file", format="text", content="") == 400
    assert http_session.get(f"{api}/work/n.ipynb", timeout=10).json()["content"] == notebook
    assert http_session.get(f"{url}files/b.bin", timeout=10).content == b"\x00\x01\x02\x03"
    listed = http_session.get(f"{api}/work", timeout=10).json()["content"]
    assert [(one["name"], one["type"]) for one in listed] == [("a.txt", "file"), ("n.ipynb", "notebook")]
    assert http_session.delete(f"{api}/work", timeout=10).status_code == 204
    assert http_session.get(f"{api}/work/a.txt", timeout=10).status_code == 404


def packed(**files: str) -> bytes:
    """A zip."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return held.getvalue()


def test_an_archive_is_unpacked_by_the_command_that_people_are_given(
    cloud: Steer, http_session: requests.Session
) -> None:
    """Into its own folder, and nowhere else; its files are shown and served."""
    url, key = make(cloud)
    http_session.headers["Authorization"] = f"token {key}"

    def put(name: str, data: bytes) -> None:
        model = {"type": "file", "format": "base64", "content": base64.b64encode(data).decode()}
        assert http_session.put(f"{url}api/contents/{name}", json=model, timeout=10).status_code == 201

    def run(command: str) -> requests.Response:
        return http_session.post(f"{url}terminal", json={"command": command}, timeout=10)

    inside = {"hello.txt": "你好", "data/数据.csv": "1,2", "../../above.txt": "no higher", "/etc/passwd": "not there"}
    put("freepool-files.zip", packed(**inside))
    put("broken.zip", b"PK\x03\x04")
    command = "python -m zipfile -e {} freepool-files/"
    assert run(command.format("freepool-files.zip")).status_code == 200
    page = http_session.get(f"{url}lab/tree/freepool-files", timeout=10).text
    assert "hello.txt" in page
    assert "data/" in page
    assert http_session.get(f"{url}files/freepool-files/data/数据.csv", timeout=10).text == "1,2"
    names = {path for path in cloud.instances()[0]["files"] if not path.endswith(".zip")}
    assert names == {"freepool-files"}, "all of it is in one folder"
    for name in ("above.txt", "etc/passwd"):
        assert http_session.get(f"{url}files/freepool-files/{name}", timeout=10).status_code == 200
    for wrong in (
        "rm -rf /",
        "python -m zipfile -c a b",
        command.format("none.zip"),
        command.format("broken.zip"),
        "'",
    ):
        answer = run(wrong)
        assert (answer.status_code, bool(answer.json()["message"])) == (400, True), wrong
    assert http_session.get(f"{url}lab/tree/no/such/folder", timeout=10).status_code == 200


def test_a_cookie_alone_writes_nothing(cloud: Steer, http_session: requests.Session) -> None:
    """As in Jupyter, a page of somebody else's cannot write with it."""
    url, key = make(cloud)
    page = http_session.get(f"{url}lab/?token={key}", timeout=10).text
    model = {"type": "file", "format": "text", "content": "x"}
    assert http_session.put(f"{url}api/contents/x.txt", json=model, timeout=10).status_code == 403
    assert http_session.post(f"{url}terminal", json={"command": ""}, timeout=10).status_code == 403
    xsrf = re.search(r'"X-XSRFToken": "([^"]+)"', page)
    assert xsrf is not None
    headers = {"X-XSRFToken": xsrf[1]}
    assert http_session.put(f"{url}api/contents/x.txt", json=model, headers=headers, timeout=10).status_code == 201
    assert "x.txt" in http_session.get(f"{url}lab/", timeout=10).text


def test_stopped_from_the_console_the_gate_is_shut_and_files_stay(cloud: Steer, http_session: requests.Session) -> None:
    """And the bill ends."""
    url, key = make(cloud)
    http_session.headers["Authorization"] = f"token {key}"
    http_session.put(f"{url}api/contents/x.txt", json={"type": "file", "content": "x"}, timeout=10)
    name = urlsplit(url).path.split("/")[2]
    console = f"{cloud.endpoints.main}/console/{ADA}"
    assert "Running" in http_session.get(console, timeout=10).text
    http_session.post(f"{console}/instances/{name}/stop", timeout=10)
    cloud.advance(60)
    assert http_session.get(f"{url}api", timeout=10).status_code == 503
    assert cloud.instance(name)["files"] == ["x.txt"]
    owed = cloud.owes()
    cloud.advance(3600)
    assert cloud.owes() == owed > 0
    http_session.post(f"{console}/instances/{name}/delete", timeout=10)
    cloud.advance(60)
    assert cloud.instances() == []


@pytest.mark.parametrize("path", ["/", f"/console/{ADA}", "/oauth2/v1/auth"])
def test_every_page_says_that_it_is_a_demonstration(cloud: Steer, http_session: requests.Session, path: str) -> None:
    """In both languages, on top."""
    text = http_session.get(f"{cloud.endpoints.main}{path}", timeout=10).text
    assert "DEMO · 演示" in text
    assert "no real money" in text
