"""The desk asks the hub about a token every few seconds, and believes an older answer only while there is none."""

from __future__ import annotations

from typing import Any

import pytest
from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError

from spawner.desk.hub_auth import FRESH_SECONDS, DeskAuth

USER = {"name": "ann"}


async def test_an_older_answer_holds_while_the_hub_is_away_and_a_refusal_is_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[Any] = []

    async def ask(*_: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(HubOAuth, "_check_hub_authorization", ask)
    desk = DeskAuth(api_url="http://127.0.0.1:9/hub/api", api_token="x", access_scopes={"self"})
    assert 0 < desk.cache.max_age == FRESH_SECONDS <= 5
    answers += [USER, HTTPError(500), None, HTTPError(500), HTTPError(500)]
    assert await desk._check_hub_authorization("url", "token", "key") == USER
    assert await desk._check_hub_authorization("url", "token", "key") == USER
    assert await desk._check_hub_authorization("url", "token", "key") is None
    with pytest.raises(HTTPError):  # a refused token is not let in again
        await desk._check_hub_authorization("url", "token", "key")
    with pytest.raises(HTTPError):
        await desk._check_hub_authorization("url", "token", "another key")
