"""Login by GitHub's addresses and answers, from a stand-in on loopback: GitHub itself cannot be had in a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from spawner.hub.login.claims import Kept
from spawner.hub.login.github import GitHubLogin
from spawner.hub.login.http import ProviderFailed
from spawner.hub.login.pages import LoginRefused
from spawner.login_settings import LoginSettings

USER = {"login": "Ann", "id": 17, "email": None}


@pytest.fixture
async def github() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Its address, and what it answers by path; lists come in pages of 100."""
    answers: dict[str, Any] = {
        "/login/oauth/access_token": {"access_token": "gho_x", "token_type": "bearer", "scope": "read:org"},
        "/api/v3/user": USER,
        "/api/v3/user/orgs": [{"login": f"org-{number}"} for number in range(150)],
        "/api/v3/user/teams": [{"slug": "gpu", "organization": {"login": "org-1"}}],
    }

    async def answer(request: web.Request) -> web.Response:
        found = answers[request.path]
        if isinstance(found, list):
            first = (int(request.query["page"]) - 1) * int(request.query["per_page"])
            found = found[first : first + int(request.query["per_page"])]
        return web.json_response(found)

    runner = web.AppRunner(web.Application())
    runner.app.router.add_route("*", "/{path:.*}", answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", answers
    await runner.cleanup()


def login(server: str, **more: Any) -> GitHubLogin:
    rules = LoginSettings.model_validate({"kind": "github", "server": server, "client_id": "id", **more})
    return GitHubLogin(rules=rules, client_id="id", client_secret="hidden", enable_auth_state=True)


async def account(one: GitHubLogin) -> dict[str, Any]:
    token = await one.get_token_info(None, {"code": "x", "grant_type": "authorization_code"})
    found: dict[str, Any] = await one._token_to_auth_model(token)
    return found


async def test_organizations_and_teams_are_groups(github: tuple[str, dict[str, Any]]) -> None:
    one = login(github[0], allowed_groups=["org-149"], admin_groups=["org-1:gpu"])
    found = await account(one)
    assert found["name"] == "ann"
    kept = Kept.read(found["auth_state"])
    assert kept is not None
    assert (kept.issuer, kept.subject) == (github[0], "17"), "a login name can be given up"
    assert {"org-0", "org-149", "org-1:gpu"} < set(kept.groups)
    assert len(kept.groups) == 151
    assert found["admin"] is True
    assert await one.check_allowed("ann", found)


async def test_who_is_in_no_such_organization_stays_outside(github: tuple[str, dict[str, Any]]) -> None:
    one = login(github[0], allowed_groups=["another"])
    found = await account(one)
    assert found["admin"] is False
    with pytest.raises(LoginRefused):
        await one.check_allowed("ann", found)


async def test_groups_are_asked_for_only_if_a_setting_names_them(github: tuple[str, dict[str, Any]]) -> None:
    address, answers = github
    del answers["/api/v3/user/orgs"]
    one = login(address, allowed_users=["ann"])
    assert one.scope == []
    assert await one.check_allowed("ann", await account(one))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/v3/user", {"login": "ann"}),
        ("/api/v3/user", {"id": 1, "email": None}),
        ("/api/v3/user", [1]),
        ("/api/v3/user/orgs", {"message": "no"}),
        ("/api/v3/user/teams", [{"slug": "x"}]),
        ("/login/oauth/access_token", {"error": "bad_verification_code", "error_description": "hidden"}),
        ("/login/oauth/access_token", {"access_token": "x"}),
    ],
)
async def test_rubbish_is_a_failure(github: tuple[str, dict[str, Any]], path: str, answer: Any) -> None:
    address, answers = github
    answers[path] = answer
    with pytest.raises(ProviderFailed) as failed:
        await account(login(address, allowed_groups=["org-1"]))
    assert "hidden" not in str(failed.value)
