"""The download of all files of an instance: only for its owner and users with access to the server."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import httpx
import pytest

from spawner.instance.arguments import ARCHIVE
from tests.stack import NO_TLS, Stack

OWNER, OTHER = "archiver", "archive-reader"
SECRET = "for nobody else"


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """A stack with an instance that contains a file."""
    for name in (OWNER, OTHER):
        shared_stack.add_user(name)
    shared_stack.wait_warm()
    shared_stack.run(OWNER)
    put = shared_stack.http.put(
        f"{shared_stack.url}/user/{OWNER}/api/contents/hello.txt",
        headers={"Authorization": f"token {shared_stack.user_token(OWNER)}"},
        json={"type": "file", "format": "text", "content": SECRET},
        timeout=30,
    )
    assert put.status_code == 201
    yield shared_stack
    shared_stack.stop(OWNER)


def fetch(stack: Stack, token: str = "", client: httpx.Client | None = None) -> httpx.Response:
    """Request the archive with a token, or with a browser's cookies."""
    headers = {"Authorization": f"token {token}"} if token else {}
    url = f"{stack.url}/user/{OWNER}/{ARCHIVE}"
    return client.get(url) if client else stack.http.get(url, headers=headers, timeout=30)


def refused(answer: httpx.Response) -> bool:
    """The answer is 403 without archive data."""
    return answer.status_code == 403 and not answer.content.startswith(b"PK")


def test_the_owner_gets_the_archive(stack: Stack) -> None:
    with httpx.Client(follow_redirects=True, timeout=30, verify=NO_TLS) as browser:
        assert browser.get(stack.link_for(OWNER)).status_code == 200
        for answer in (fetch(stack, stack.user_token(OWNER)), fetch(stack, client=browser)):
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == "application/zip"
            assert answer.headers["Cache-Control"] == "no-store"
            assert zipfile.ZipFile(io.BytesIO(answer.content)).read("hello.txt").decode() == SECRET


def test_without_a_sign_in_there_is_only_the_sign_in(stack: Stack) -> None:
    for answer in (fetch(stack), fetch(stack, "0" * 32)):
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/hub/api/oauth2/authorize")
        assert not answer.content


def test_another_user_is_refused(stack: Stack) -> None:
    assert refused(fetch(stack, stack.user_token(OTHER)))
    with httpx.Client(follow_redirects=True, timeout=30, verify=NO_TLS) as browser:
        assert browser.get(stack.link_for(OTHER)).status_code == 200
        assert refused(fetch(stack, client=browser))


def test_a_token_without_access_to_the_server_is_refused(stack: Stack) -> None:
    """The owner's token with scopes for reading the user and starting servers only."""
    asked = {"note": "narrow", "scopes": ["read:users!user", "read:servers!user", "servers!user"]}
    made = stack.api("POST", f"/users/{OWNER}/tokens", token=stack.user_token(OWNER), json=asked)
    assert made.status_code == 201, made.text
    narrow = made.json()["token"]
    assert stack.api("GET", f"/users/{OWNER}", token=narrow).status_code == 200, "it is good for something"
    assert refused(fetch(stack, narrow))


def test_a_share_needs_access_to_the_server_for_its_files(stack: Stack) -> None:
    """`read:servers` is not enough. The default share gives access, and so the archive."""
    shares = f"/shares/{OWNER}/"
    made = stack.api("POST", shares, json={"user": OTHER, "scopes": ["read:servers"]})
    assert (made.status_code, made.json()["scopes"]) == (200, [f"read:servers!server={OWNER}/"])
    assert refused(fetch(stack, stack.user_token(OTHER)))
    try:
        assert stack.api("POST", shares, json={"user": OTHER}).status_code == 200
        assert fetch(stack, stack.user_token(OTHER)).status_code == 200
    finally:
        assert stack.api("DELETE", shares).status_code == 204
    assert refused(fetch(stack, stack.user_token(OTHER)))
