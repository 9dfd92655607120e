"""Login by GitHub, or GitHub Enterprise Server. Its groups are organizations (`org`) and their teams (`org:team`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from oauthenticator.github import GitHubOAuthenticator
from traitlets import default

from spawner.hub.login.claims import Groups, read_groups
from spawner.hub.login.http import ProviderFailed
from spawner.hub.login.provider import ProviderLogin

MOST_PAGES = 10
PAGE = 100


class GitHubLogin(ProviderLogin, GitHubOAuthenticator):
    """GitHub's addresses are oauthenticator's."""

    user_auth_state_key = "oauth_user"

    @default("scope")
    def _scope(self) -> list[str]:
        return ["read:org"] if self.rules.wants_groups else []

    @default("username_claim")
    def _username_claim(self) -> str:
        return "login"

    @default("github_url")
    def _github_url(self) -> str:
        return self.rules.base

    def subject(self, claims: Mapping[str, Any]) -> str:
        """The number: a login name can be given up, and taken by somebody else."""
        found = claims.get("id")
        if not isinstance(found, int):
            raise ProviderFailed("there is no account number (id)")
        return str(found)

    async def groups(self, state: Mapping[str, Any]) -> Groups:
        """Organizations and teams, if a setting speaks of groups."""
        if not self.rules.wants_groups:
            return Groups()
        organizations = await self._all("/user/orgs", state["token_response"])
        teams = await self._all("/user/teams", state["token_response"])
        try:
            names = [item["login"] for item in organizations]
            names += [f"{item['organization']['login']}:{item['slug']}" for item in teams]
        except (KeyError, TypeError):
            raise ProviderFailed("its lists of organizations and teams cannot be read") from None
        return read_groups({"groups": names}, "groups")

    async def _all(self, path: str, token_info: Mapping[str, Any]) -> list[Any]:
        headers = self.build_userdata_request_headers(token_info["access_token"], token_info["token_type"])
        found: list[Any] = []
        for number in range(1, MOST_PAGES + 1):
            url = f"{self.github_api}{path}?per_page={PAGE}&page={number}"
            answer = await self.httpfetch(url, "organizations", parse_json=False, method="GET", headers=headers)
            page = json.loads(answer.body)
            if not isinstance(page, list):
                raise ProviderFailed(f"{path} is not a list")
            found += page
            if len(page) < PAGE:
                break
        return found
