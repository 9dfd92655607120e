"""Login by an OpenID Connect provider, of which Google is one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import jwt
from traitlets import default

from spawner.hub.login.claims import Groups, mail_domain, read_groups
from spawner.hub.login.discovery import Discovery
from spawner.hub.login.http import ProviderFailed
from spawner.hub.login.provider import ProviderLogin
from spawner.login_settings import LoginKind

CLOCK_SECONDS = 120
"""How far the provider's clock may be from ours."""


class OIDCLogin(ProviderLogin):
    """Any certified provider: its addresses come from the issuer's document."""

    choose_account: ClassVar[dict[str, str]] = {"prompt": "login"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._discovery = Discovery(self.rules.base, self._get_json)

    @default("scope")
    def _scope(self) -> list[str]:
        return ["openid", "profile", "email"]

    @default("username_claim")
    def _username_claim(self) -> str:
        return self.rules.username_claim or "preferred_username"

    async def _get_json(self, url: str) -> Any:
        return await self.httpfetch(url, "the provider's document", method="GET")

    async def look_up_addresses(self) -> None:
        """From the issuer's document."""
        found = await self._discovery.endpoints()
        self.authorize_url, self.token_url, self.userdata_url = found.authorize, found.token, found.userinfo
        self.basic_auth = found.basic_auth

    async def end_session_address(self) -> str | None:
        """Where the provider ends its session."""
        return (await self._discovery.endpoints()).end_session

    def subject(self, claims: Mapping[str, Any]) -> str:
        """OpenID's own: never given to another account."""
        found = claims.get("sub")
        if not isinstance(found, str) or not 0 < len(found) <= 255:
            raise ProviderFailed("there is no subject (claim sub)")
        return found

    def domain(self, claims: Mapping[str, Any]) -> str | None:
        """The domain of the verified mail address."""
        return mail_domain(claims)

    async def groups(self, state: Mapping[str, Any]) -> Groups:
        """From the claim that the settings name."""
        path = self.rules.groups_claim
        return read_groups(state[self.user_auth_state_key], path) if path else Groups()

    async def get_token_info(self, handler: Any, params: dict[str, Any]) -> dict[str, Any]:
        """A login must bring an id token that was made for us, by this issuer, just now."""
        found = await super().get_token_info(handler, params)
        if params.get("grant_type") == "authorization_code":
            claims = self._id_token(found)
            if claims is None:
                raise ProviderFailed("there is no id token: the scopes need openid")
            audience = claims.get("aud")
            made_for = audience if isinstance(audience, list) else [audience]
            expires = claims.get("exp")
            if claims.get("iss") != self.rules.base or self.client_id not in made_for:
                raise ProviderFailed("its id token was made by another issuer, or for another client")
            if not isinstance(expires, int | float) or expires < time.time() - CLOCK_SECONDS:
                raise ProviderFailed("its id token has expired")
        return found

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """What the id token and the user's endpoint say; some providers have groups in the one, some in the other."""
        claims = await super().token_to_user(token_info)
        told = self._id_token(token_info) or {}
        if told and told.get("sub") != claims.get("sub"):
            raise ProviderFailed("its id token and its user's endpoint speak of different accounts")
        return {**told, **claims}

    def _id_token(self, token_info: Mapping[str, Any]) -> dict[str, Any] | None:
        """It comes from the provider itself over TLS, so OpenID Connect (3.1.3.7) does not ask for its signature."""
        token = token_info.get("id_token")
        if not token:
            return None
        try:
            found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, TypeError) as error:
            raise ProviderFailed(f"its id token cannot be read: {type(error).__name__}") from None
        return found


class GoogleLogin(OIDCLogin):
    """Google: users are named by their whole mail address, so that no other domain's user has the same name."""

    choose_account: ClassVar[dict[str, str]] = {"prompt": "select_account"}

    @default("username_claim")
    def _username_claim(self) -> str:
        return "email"

    def domain(self, claims: Mapping[str, Any]) -> str | None:
        """The Workspace that manages the account; a mail address proves no membership."""
        found = claims.get("hd")
        return found.lower() if isinstance(found, str) else None


KINDS = {LoginKind.OIDC: OIDCLogin, LoginKind.GOOGLE: GoogleLogin}
