"""`/freepool/program-token`: an address and a token for programs, and their revocation."""

from __future__ import annotations

import json

from jupyter_server.auth.decorator import authorized
from tornado.web import HTTPError, authenticated

from spawner.instance.apps.state import SETTING
from spawner.instance.program_tokens import ProgramTokens
from spawner.instance.session_handlers import SessionHandler

TOKENS = "freepool_program_tokens"


class ProgramTokenHandler(SessionHandler):
    """POST makes one, DELETE revokes all."""

    @property
    def tokens(self) -> ProgramTokens:
        """Made by the extension."""
        found: ProgramTokens = self.settings[TOKENS]
        return found

    @authenticated
    @authorized
    async def post(self) -> None:
        """`{url, token, until}`. `url` is empty where the page's own is right. No token makes its successor."""
        hub_auth = getattr(self.settings["serverapp"].identity_provider, "hub_auth", None)
        if hub_auth is None:  # this server belongs to no hub
            raise HTTPError(404)
        if self.tokens.user_of(hub_auth.get_token(self, in_cookie=False) or ""):
            raise HTTPError(403, "A program's token makes no tokens.")
        scopes = [scope for scope in hub_auth.access_scopes if "!server=" in scope] or sorted(hub_auth.access_scopes)
        user = {**self.current_user.hub_user, "scopes": scopes}
        token, until = self.tokens.make(user)
        self.set_header("Cache-Control", "no-store")
        self.set_status(201)
        self.finish(json.dumps({"url": self.settings[SETTING].rules.programs, "token": token, "until": until}))

    @authenticated
    @authorized
    async def delete(self) -> None:
        """End them all."""
        self.tokens.revoke()
        self.set_status(204)
        self.finish()
