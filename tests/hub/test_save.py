"""What would be lost is known before it is; what two have chosen to keep comes back by a click; nothing else stays."""

from __future__ import annotations

import io
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from sqlalchemy import update

from spawner.instance import desk_key
from spawner.instance.report_key import HEADER
from spawner.instance.save.paths import BUNDLE, CHANGES, DESK_CHANGES, SAVE, SAVE_ALL, SAVE_GIT, UNPACK
from spawner.ledger import Instance
from spawner.ledger.bundles import bundles
from spawner.ledger.bundles.tables import bundles as bundles_table
from spawner.ledger.pool import instances
from spawner.ledger.pool.tables import instances as instances_table
from spawner.pool.build import utc_now
from tests.backends.notebook import Notebook
from tests.stack import Stack, browser_client, eventually

CANARY = "canary-of-a-file-5d1c"
OWNER = "owner-of-files"


@pytest.fixture(scope="module")
def running(shared_stack: Stack) -> Iterator[Instance]:
    """The notebook of `OWNER`, for the tests that end none."""
    for name in (OWNER, "stranger"):
        shared_stack.add_user(name)
    shared_stack.wait_warm()
    yield shared_stack.run(OWNER)
    shared_stack.stop(OWNER)


def call(stack: Stack, user: str, method: str, path: str, **kwargs: Any) -> httpx.Response:
    """A request to the user's notebook server with their token."""
    headers = {"Authorization": f"token {stack.user_token(user)}"}
    return stack.http.request(method, f"{stack.url}/user/{user}/{path}", headers=headers, timeout=30, **kwargs)


def write(stack: Stack, user: str, path: str, text: str) -> None:
    """Write a file as JupyterLab does."""
    body = {"type": "file", "format": "text", "content": text}
    answer = call(stack, user, "PUT", f"api/contents/{path}", json=body)
    assert answer.status_code in (200, 201), answer.text


def read(stack: Stack, user: str, path: str) -> str | None:
    """The text of a file; None where there is none."""
    answer = call(stack, user, "GET", f"api/contents/{path}?type=file&format=text")
    return str(answer.json()["content"]) if answer.status_code == 200 else None


def desk(stack: Stack, user: str, method: str, path: str, **kwargs: Any) -> Any:
    answer = stack.desk(method, path, token=stack.user_token(user), **kwargs)
    assert answer.status_code == 200, answer.text
    return answer.json() if "json" in answer.headers["Content-Type"] else answer


def let_deadlines_pass(stack: Stack, *running: Instance) -> list[Instance]:
    """Their ends, as the ledger has them once the slots are gone."""
    ids = [one.id for one in running]
    ends = update(instances_table).where(instances_table.c.id.in_(ids)).values(ends_at=utc_now())
    stack.ledger.write(lambda connection: connection.execute(ends))

    def rows() -> list[Instance]:
        return [stack.ledger.read(instances.get, one) for one in ids]

    eventually(lambda: all(row.ended_at for row in rows()), seconds=60, what="the ends")
    return rows()


def files_with(text: str, folder: Path) -> list[Path]:
    """Files of the state folder in which a text is."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
                found.append(path)
    return found


@pytest.mark.usefixtures("running")
def test_changes_are_listed_by_the_notebook_and_by_the_desk(shared_stack: Stack) -> None:
    before = desk(shared_stack, OWNER, "GET", "api/instance/changes")
    assert (before["known"], before["count"]) == (True, 0), "the examples are laid out, not changed"
    write(shared_stack, OWNER, "new.txt", CANARY)
    seen = desk(shared_stack, OWNER, "GET", "api/instance/changes")
    assert seen["files"] == [{"path": "new.txt", "bytes": len(CANARY), "is_new": True}]
    assert seen["files_url"] == f"/user/{OWNER}/freepool/files.zip"
    assert call(shared_stack, OWNER, "GET", CHANGES).json()["bytes"] == len(CANARY)
    assert call(shared_stack, OWNER, "POST", SAVE_ALL).json() == {"documents": 0, "unsaved": 0}
    answer = shared_stack.desk("GET", "api/instance/changes", token=shared_stack.user_token("stranger"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_running")


@pytest.mark.usefixtures("running")
def test_a_browser_sees_the_changes_by_the_desk_and_downloads_from_its_host(shared_stack: Stack) -> None:
    """With the desk's own session, not an API token; the link leads through the server's own sign-in."""
    with browser_client() as browser:
        write(shared_stack, OWNER, "mine.txt", CANARY)
        page = browser.get(shared_stack.link_for(OWNER))
        xsrf = page.text.split('data-xsrf="')[1].split('"')[0]
        base = f"{shared_stack.url}/services/desk/"
        seen = browser.get(f"{base}api/instance/changes", headers={"X-XSRFToken": xsrf}).json()
        assert seen["known"] is True
        assert "mine.txt" in {file["path"] for file in seen["files"]}
        archive = browser.get(f"{shared_stack.url}{seen['files_url']}")
        assert zipfile.ZipFile(io.BytesIO(archive.content)).read("mine.txt").decode() == CANARY


@contextmanager
def pointed_to(stack: Stack, instance: Instance, url: str) -> Iterator[None]:
    """The ledger has another address of the instance."""

    def point_to(url: str) -> None:
        change = update(instances_table).where(instances_table.c.id == instance.id).values(url=url)
        stack.ledger.write(lambda connection: connection.execute(change))

    point_to(url)
    try:
        yield
    finally:
        point_to(str(instance.url))


def test_a_notebook_that_does_not_answer_is_unknown_and_not_empty(shared_stack: Stack, running: Instance) -> None:
    with pointed_to(shared_stack, running, "http://127.0.0.1:9"):
        seen = desk(shared_stack, OWNER, "GET", "api/instance/changes")
    assert (seen["known"], seen["count"]) == (False, 0)
    assert seen["files_url"], "the download is still offered"


def test_the_platforms_handler_wants_the_platforms_key(shared_stack: Stack, running: Instance) -> None:
    write(shared_stack, OWNER, "secret.txt", CANARY)
    by_user = {"Authorization": f"token {shared_stack.user_token(OWNER)}"}
    for headers in ({}, {HEADER: ""}, {HEADER: "0" * 64}, by_user):
        answer = shared_stack.http.post(f"{running.url}{BUNDLE}", headers=headers, json={"limit": 10**6})
        assert (answer.status_code, CANARY in answer.text) == (403, False)


def test_a_notebook_gets_no_token_of_its_user_from_the_desk(shared_stack: Stack, running: Instance) -> None:
    """Its user's programs may have replaced the server. What it gets opens this one instance's own handlers only."""
    heard: list[dict[str, str]] = []

    class Listening(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(dict(self.headers))
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listening)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    token = shared_stack.user_token(OWNER)
    with pointed_to(shared_stack, running, f"http://127.0.0.1:{server.server_port}"):
        assert shared_stack.desk("GET", "api/instance/changes", token=token).json()["known"] is False
    server.shutdown()
    server.server_close()
    (headers,) = heard
    assert not {"Authorization", "Cookie"} & headers.keys()
    assert token not in json.dumps(headers)
    key = headers[desk_key.HEADER]
    assert shared_stack.desk("GET", "api/state", token=key).status_code == 403
    assert shared_stack.api("GET", "/user", token=key).status_code == 403
    opened = shared_stack.http.get(f"{running.url}{DESK_CHANGES}", headers={desk_key.HEADER: key})
    assert (opened.status_code, opened.json()["is_complete"]) == (200, True)


async def test_no_program_of_a_notebook_finds_the_desks_key(shared_stack: Stack, running: Instance) -> None:
    code = "import os; print('FREEPOOL_DESK_KEY' in os.environ, 'JUPYTERHUB_API_TOKEN' in os.environ)"
    async with aiohttp.ClientSession() as session:
        notebook = Notebook(session, f"{running.url}/user/{OWNER}/", shared_stack.user_token(OWNER), "")
        assert (await notebook.run(code)).split() == ["False", "True"]


def test_strangers_reach_none_of_the_handlers(shared_stack: Stack, running: Instance) -> None:
    other = {"Authorization": f"token {shared_stack.user_token('stranger')}"}
    for path in (CHANGES, SAVE, SAVE_ALL, SAVE_GIT):
        method = "GET" if path in (CHANGES, SAVE) else "POST"
        for headers in ({}, other):
            answer = shared_stack.http.request(method, f"{running.url}/user/{OWNER}/{path}", headers=headers)
            assert answer.status_code in (302, 403), (method, path, answer.status_code)
    by_user = {"Authorization": f"token {shared_stack.user_token(OWNER)}"}
    for headers in ({}, by_user, {desk_key.HEADER: ""}, {desk_key.HEADER: desk_key.desk_key("guess", running.id)}):
        for method, path in (("GET", DESK_CHANGES), ("POST", UNPACK)):
            answer = shared_stack.http.request(method, f"{running.url}{path}", headers=headers)
            assert answer.status_code == 403, (method, path, headers)


@pytest.mark.usefixtures("running")
def test_the_save_page_refuses_a_form_of_another_site_and_shows_no_secret(shared_stack: Stack) -> None:
    with browser_client() as browser:
        assert browser.get(shared_stack.link_for(OWNER)).status_code == 200
        page = browser.get(f"{shared_stack.url}/user/{OWNER}/{SAVE}?language=zh-CN")
        assert "保存文件" in page.text
        home = page.text.split('<a class="brand" href="')[1].split('"')[0]
        assert f'<bdi class="account-name">{OWNER}</bdi>' in browser.get(page.url.join(home)).text
        assert f'href="/user/{OWNER}/lab">返回 JupyterLab' in page.text
        assert f'href="/user/{OWNER}/{SAVE}?language=en"' in page.text
        fields = {"url": "http://example.org/x.git", "branch": "b", "token": "secret-token-of-a-form", "user": "u"}
        where = f"{page.url.scheme}://{page.url.host}:{page.url.port}/user/{OWNER}/{SAVE_GIT}?language=en"
        assert browser.post(where, data=fields).status_code == 403
        xsrf = page.text.split('name="_xsrf" value="')[1].split('"')[0]
        answer = browser.post(where, data=fields | {"_xsrf": xsrf})
        assert answer.status_code == 409
        assert "must begin with https://" in answer.text
        assert "http://example.org/x.git" in answer.text, "what was typed is still there"
        assert fields["token"] not in answer.text


def test_only_what_catalog_and_person_both_chose_is_kept_and_it_comes_back_by_a_click(shared_stack: Stack) -> None:
    stack, user, other = shared_stack, "keeper-of-files", "keeper-of-nothing"
    for name in (user, other):
        stack.add_user(name)
    assert desk(stack, user, "POST", "api/keep", json={"wanted": True})["chosen"] is True
    ran = [stack.run(name) for name in (user, other)]
    assert [desk(stack, name, "GET", "api/session")["keeps_files"] for name in (user, other)] == [True, False]
    for name in (user, other):
        write(stack, name, "work.txt", CANARY)
    write(stack, user, "large.txt", "x" * 2 * 1024**2)
    assert [one.reason for one in let_deadlines_pass(stack, *ran)] == ["deadline", "deadline"]

    assert desk(stack, other, "GET", "api/keep")["bundles"] == []
    assert stack.ledger.read(bundles.of_instance, ran[1].id) is None
    (kept,) = desk(stack, user, "GET", "api/keep")["bundles"]
    assert (kept["state"], kept["files"], kept["bytes"]) == ("kept", 1, len(CANARY))
    assert kept["text"] == "Not kept, because of the limit: large.txt."
    said = [desk(stack, name, "GET", "api/state")["last"]["text"] for name in (user, other)]
    assert "Its changed files are kept for another " in said[0]
    assert "deleted" not in said[0]
    assert said[1].endswith("Its files were deleted.")
    stored = stack.state / "bundles" / kept["id"]
    assert stored.stat().st_mode & 0o777 == 0o600
    assert files_with(CANARY, stack.state) == [], "on the disk it is encrypted"
    zipped = stack.desk("GET", f"keep/{kept['id']}.zip", token=stack.user_token(user))
    assert zipfile.ZipFile(io.BytesIO(zipped.content)).read("work.txt").decode() == CANARY

    restore, delete = f"api/keep/{kept['id']}/restore", f"api/keep/{kept['id']}/delete"
    assert stack.desk("GET", f"keep/{kept['id']}.zip", token=stack.user_token(other)).status_code == 404
    assert [
        stack.desk("POST", one, token=stack.user_token(other), json={}).status_code for one in (restore, delete)
    ] == [404, 404]
    assert stack.desk("POST", restore, token=stack.user_token(user), json={}).status_code == 409, "none runs"

    stack.run(user)
    assert read(stack, user, "work.txt") is None, "a new notebook is empty"
    assert desk(stack, user, "POST", restore, json={}) == {"files": 1, "beside": 0, "refused": 0}
    assert read(stack, user, "work.txt") == CANARY
    stack.stop(user)
    assert len(desk(stack, user, "GET", "api/keep")["bundles"]) == 1, "an asked stop keeps nothing"

    late = update(bundles_table).where(bundles_table.c.id == kept["id"])
    past = late.values(expires_at=utc_now() - timedelta(seconds=1))
    stack.ledger.write(lambda connection: connection.execute(past))
    assert desk(stack, user, "GET", "api/keep")["bundles"] == []
    assert stack.desk("GET", f"keep/{kept['id']}.zip", token=stack.user_token(user)).status_code == 404
    assert desk(stack, user, "POST", delete, json={})["bundles"] == []
    assert stack.ledger.read(bundles.of_person, stack.person_of(user)) == []
    desk(stack, user, "POST", "api/keep", json={"wanted": False})
