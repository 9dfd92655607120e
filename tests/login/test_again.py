"""Nobody stays logged in for ever on the strength of one login."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from spawner.hub.login.claims import KEPT, Kept
from spawner.hub.login.link import DAY_SECONDS
from spawner.hub.login.oidc import OIDCLogin
from spawner.login_settings import LoginSettings

RULES = {"kind": "oidc", "issuer": "http://127.0.0.1:9", "allow_all": True, "again_after_days": 2}


@dataclass
class User:
    """What is asked of JupyterHub's."""

    auth_state: dict[str, Any] | None
    name: str = "ann"
    groups: list[Any] = field(default_factory=list)

    async def get_auth_state(self) -> dict[str, Any] | None:
        return self.auth_state


def state(days_ago: float) -> dict[str, Any]:
    kept = Kept(RULES["issuer"], "1", (), time.time() - days_ago * DAY_SECONDS)  # type: ignore[arg-type]
    return {KEPT: kept.as_dict(), "token_response": {"access_token": "x", "token_type": "bearer"}}


@pytest.mark.parametrize(
    ("user", "stays"),
    [(User(state(1.9)), True), (User(state(2.1)), False), (User(None), False), (User({"another": "login"}), False)],
)
async def test_a_login_lasts_as_long_as_the_settings_say_while_nobody_can_be_asked(user: User, stays: bool) -> None:
    login = OIDCLogin(rules=LoginSettings.model_validate(RULES), client_id="id", client_secret="hidden")
    assert await login.refresh_user(user) is stays
