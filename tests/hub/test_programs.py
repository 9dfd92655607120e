"""Programs outside reach one notebook by its address and a token for it: VS Code, and curl with the contents API."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClientConnection

from tests.stack import Stack
from tests.websockets import websocket

ANN, BOB = "ann-of-programs", "bob-of-programs"
EIGHT_HOURS = 8 * 3600


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """Two users' notebooks run."""
    for name in (ANN, BOB):
        shared_stack.add_user(name)
        shared_stack.run(name)
    yield shared_stack
    for name in (ANN, BOB):
        shared_stack.stop(name)


def token_for_one_notebook(stack: Stack) -> str:
    """As docs/programs.md makes it."""
    body = {"note": "VS Code", "expires_in": EIGHT_HOURS, "scopes": [f"access:servers!server={ANN}/"]}
    headers = {"Authorization": f"token {stack.user_token(ANN)}"}
    answer = stack.http.post(f"{stack.url}/hub/api/users/{ANN}/tokens", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["expires_at"]
    return str(answer.json()["token"])


async def test_a_client_that_sends_its_token_in_a_websockets_address_runs_code(stack: Stack) -> None:
    """VS Code's extension: `Authorization` with HTTP, and only `?token=` with a websocket. On both hosts."""
    token = token_for_one_notebook(stack)
    own_host = {"Host": f"{ANN}.localhost:{stack.port}"}
    url = f"{stack.url}/user/{ANN}/api/kernels"
    authorization = {"Authorization": f"token {token}"}
    answer = stack.http.post(url, json={"name": "python3"}, headers=authorization)
    assert answer.status_code == 201, answer.text
    channels = f"{url}/{answer.json()['id']}/channels?session_id={uuid.uuid4().hex}&token="
    for host in ({}, own_host):
        async with websocket(channels + token, host) as socket:
            assert await printed_by("print(6 * 7)", socket) == "42\n"
        for wrong in ("wrong", stack.user_token(BOB), ""):
            with pytest.raises(HTTPClientError) as refused:
                async with websocket(channels + wrong, host):
                    pass
            assert refused.value.code in (302, 403)


def test_a_page_takes_no_token_from_its_address(stack: Stack) -> None:
    token = token_for_one_notebook(stack)
    own_host = {"Host": f"{ANN}.localhost:{stack.port}"}
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    for headers in ({}, own_host, upgrade, own_host | upgrade):
        for path in ("lab", "api/contents"):
            page = stack.http.get(f"{stack.url}/user/{ANN}/{path}?token={token}", headers=headers)
            assert page.status_code in (302, 403), (headers, path)
            assert token not in page.headers.get("Set-Cookie", "")


def test_the_token_opens_this_notebook_and_nothing_else(stack: Stack) -> None:
    headers = {"Authorization": f"token {token_for_one_notebook(stack)}"}
    notebook = f"{stack.url}/user/{ANN}/api"
    file = {"type": "file", "format": "text", "content": "a,b\n"}
    assert stack.http.put(f"{notebook}/contents/data.csv", json=file, headers=headers).status_code == 201
    model = stack.http.get(f"{notebook}/contents/data.csv", headers=headers).json()
    assert (model["content"], model["name"]) == ("a,b\n", "data.csv")
    base = notebook.removesuffix("/api")
    assert stack.http.get(f"{base}/files/data.csv", headers=headers).text == "a,b\n"
    archive = stack.http.get(f"{base}/freepool/files.zip", headers=headers)
    assert (archive.status_code, archive.content[:2]) == (200, b"PK")
    known = stack.http.get(f"{stack.url}/hub/api/users/{ANN}", headers=headers).json()
    assert known["name"] == ANN, "a token names its user"
    assert not {"servers", "last_activity", "scopes"} & known.keys()
    refused = [
        ("GET", f"/hub/api/users/{BOB}"),
        ("DELETE", f"/hub/api/users/{ANN}/server"),
        ("POST", f"/hub/api/users/{ANN}/tokens"),
        ("POST", f"/hub/api/users/{BOB}/server"),
        ("GET", "/services/desk/api/state"),
        ("POST", "/services/desk/api/ticket/cancel"),
        ("GET", f"/user/{BOB}/api/contents"),
    ]
    for method, path in refused:
        answer = stack.http.request(method, f"{stack.url}{path}", headers=headers)
        assert answer.status_code in (401, 403, 404), (method, path, answer.status_code)
    session = stack.http.get(f"{stack.url}/services/desk/api/session", headers=headers)
    assert (session.status_code, session.json()["user"]) == (200, ANN), "as a cell of this notebook may read it"


async def printed_by(code: str, socket: WebSocketClientConnection) -> str:
    names = {"msg_id": uuid.uuid4().hex, "username": "", "session": uuid.uuid4().hex, "version": "5.3"}
    content: dict[str, Any] = {"code": code, "silent": False}
    request = {"header": names | {"msg_type": "execute_request"}, "parent_header": {}, "metadata": {}}
    await socket.write_message(json.dumps(request | {"content": content, "channel": "shell"}))
    printed = ""
    while True:
        frame = await asyncio.wait_for(socket.read_message(), 30)
        assert frame is not None, "the server closed the websocket"
        message = json.loads(frame)
        if message["parent_header"].get("msg_id") != names["msg_id"]:
            continue
        if message["msg_type"] == "stream":
            printed += message["content"]["text"]
        elif message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return printed
