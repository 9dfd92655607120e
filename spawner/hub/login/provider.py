"""Login by an identity provider: oauthenticator, with rules, groups and failures as Freepool has them.

A provider that is slow, away or answers rubbish fails new logins with a page that says so, and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from jupyterhub.utils import maybe_future
from oauthenticator.oauth2 import OAuthenticator
from tornado.web import HTTPError
from traitlets import Instance, Unicode, default

from spawner.hub import groups
from spawner.hub.login import texts
from spawner.hub.login.claims import KEPT, Groups, Kept, is_admin, is_admitted, is_in_disguise, merge_groups
from spawner.hub.login.handlers import LogoutHandler, ReturnHandler, StartHandler
from spawner.hub.login.http import AccountUnusable, ProviderFailed, request
from spawner.hub.login.link import DAY_SECONDS
from spawner.hub.login.pages import Heading, LoginRefused
from spawner.hub.login.refresh import Refresher
from spawner.login_settings import LoginSettings

ENDED: dict[str, Any] = {}
"""Answer for a user whose login the provider has ended."""


class ProviderLogin(OAuthenticator):
    """Base of the kinds. `rules` are the settings' section `login`."""

    rules = Instance(LoginSettings, help="The section `login` of Freepool's settings.").tag(config=True)
    login_note = Unicode(help="HTML below the login page's buttons.").tag(config=True)
    login_handler = StartHandler
    callback_handler = ReturnHandler
    logout_handler = LogoutHandler
    user_auth_state_key = "oauth_user"
    choose_account: ClassVar[dict[str, str]] = {"prompt": "select_account"}
    """Parameters with which the provider lets people choose another account."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._refresher: Refresher[dict[str, Any]] = Refresher(
            lambda error: self.log.warning(
                "%s does not answer as it should; users who are logged in go on: %s", self.rules.title, _named(error)
            )
        )

    @default("custom_html")
    def _login_page(self) -> str:
        return texts.login_page(self.rules.title) + self.login_note

    # --- what a kind says ------------------------------------------------------------------------------------

    async def look_up_addresses(self) -> None:
        """Before a login or a refresh: set the addresses of the provider. Raises `ProviderFailed`."""

    def subject(self, claims: Mapping[str, Any]) -> str:
        """What identifies the account at the provider for ever. Raises `ProviderFailed`."""
        raise NotImplementedError

    def domain(self, claims: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """The domain that the account belongs to."""
        return None

    async def groups(self, state: Mapping[str, Any]) -> Groups:  # noqa: ARG002
        """The account's groups at the provider, by its auth_state."""
        return Groups()

    # --- oauthenticator's steps ------------------------------------------------------------------------------

    async def fetch(self, req: Any, *, parse_json: bool = True, **_: Any) -> Any:
        """Every request of oauthenticator to the provider. Raises `ProviderFailed`."""
        answer = await request(
            req.url,
            method=req.method,
            headers=dict(req.headers),
            body=req.body,
            verify=self.validate_server_cert,
        )
        return answer.read_json(req.url) if parse_json else answer

    async def get_token_info(self, handler: Any, params: dict[str, Any]) -> dict[str, Any]:
        """The tokens. oauthenticator would put a bad answer, with what it holds, into the log."""
        await self.look_up_addresses()
        params = {name: value for name, value in params.items() if value is not None}
        try:
            found = await super().get_token_info(handler, params)
        except HTTPError:
            raise ProviderFailed("the answer has no access token") from None
        if not isinstance(found, dict) or not isinstance(found.get("token_type"), str):
            raise ProviderFailed("the answer has no token type")
        return found

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """What the provider says about the account."""
        await self.look_up_addresses()
        claims = await super().token_to_user(token_info)
        if not isinstance(claims, dict):
            raise ProviderFailed("what it says about the account is not an object")
        return claims

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """The claim that is the user's name. Raises `ProviderFailed`."""
        name = user_info.get(self.username_claim)
        if not isinstance(name, str) or not name.strip():
            raise AccountUnusable(
                f"there is no claim {self.username_claim}: ask for more scopes, or set username_claim"
            )
        if self.username_claim == "email" and user_info.get("email_verified") is not True:
            raise AccountUnusable("the mail address is not verified")
        if is_in_disguise(name):
            raise AccountUnusable("the name has a letter that would make it another's")
        return name.strip()

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Add the groups, and whether the user is an administrator: neither outlives what the provider says."""
        state = auth_model["auth_state"]
        claims = state[self.user_auth_state_key]
        groups = await self.groups(state)
        if groups.complaint:
            self.log.warning("Groups of %s at %s: %s", auth_model["name"], self.rules.title, groups.complaint)
        kept = Kept(self.rules.base, self.subject(claims), tuple(sorted(groups.names)), time.time())
        state[KEPT] = kept.as_dict()
        name = auth_model["name"]
        auth_model["admin"] = is_admin(self.rules, name, groups.names) or name in self.admin_users
        return auth_model

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Log in. Raises `LoginRefused` with a page for whatever the provider does."""
        try:
            found = await super().authenticate(handler, data, **kwargs)
            self._refresher.resume()
            return found
        except ProviderFailed as error:
            self.log.warning("A login by %s failed: %s", self.rules.title, error)
            title = self.rules.title
            if error.is_refusal:
                raise LoginRefused(403, str(error), texts.cannot_log_in(title)) from None
            said = texts.provider_fails(title)
            raise LoginRefused(503, str(error), said, heading=Heading.PROVIDER_AWAY) from None

    async def check_allowed(self, username: str, auth_model: dict[str, Any] | None) -> bool:
        """Whether the user may log in. Raises `LoginRefused`, whose page names the account."""
        if auth_model is None or self._is_allowed(username, auth_model):
            return True
        said = texts.not_admitted(username, self.rules.title)
        raise LoginRefused(403, f"{username} is not admitted", said, heading=Heading.NO_ACCESS)

    def _is_allowed(self, username: str, auth_model: dict[str, Any]) -> bool:
        state = auth_model["auth_state"]
        kept = Kept.read(state)
        domain = self.domain(state[self.user_auth_state_key])
        return bool(auth_model.get("admin") or username in self.allowed_users) or (
            kept is not None and is_admitted(self.rules, username, frozenset(kept.groups), domain)
        )

    # --- after the login -------------------------------------------------------------------------------------

    async def check_account(self, user: Any, new: Kept | None) -> Kept | None:
        """What the user's last login has kept. Raises `LoginRefused` if that was by another account of this name."""
        kept = Kept.read(await user.get_auth_state())
        if kept is not None and new is not None and not kept.is_same_account(new):
            said = texts.name_taken(user.name)
            raise LoginRefused(403, f"the name {user.name} is another account's", said, heading=Heading.NAME_TAKEN)
        return kept

    def apply_groups(self, user: Any, before: Kept | None, now: Kept) -> None:
        """Bring the user's groups to what the provider says. Groups that an administrator has granted stay.

        Where what was kept cannot be read, because its key is gone, all groups count as the provider's.
        """
        current = frozenset(group.name for group in user.groups)
        if before is None:
            earlier = current if user.encrypted_auth_state is not None else frozenset()
        else:
            earlier = frozenset(before.groups)
        user.sync_groups(sorted(merge_groups(current, earlier, frozenset(now.groups))))

    async def refresh_user(self, user: Any, *_: Any, **__: Any) -> bool | dict[str, Any]:
        """What JupyterHub asks for every few minutes: False is "must log in again"; True changes nothing."""
        state = await user.get_auth_state()
        kept = Kept.read(state)
        if kept is None or time.time() - kept.login_at > self.rules.again_after_days * DAY_SECONDS:
            return False
        answer = await self._refresher.ask(user.name, lambda: self._ask_again(state))
        if answer is None:
            return True
        if answer is ENDED:
            return False
        now = Kept.read(answer["auth_state"])
        if now is None or not now.is_same_account(kept) or not await self._may_stay(answer):
            return False
        now = Kept(now.issuer, now.subject, now.groups, kept.login_at)
        answer["auth_state"][KEPT] = now.as_dict()
        self.apply_groups(user, kept, now)
        await groups.record_refresh(user, now.groups)
        return {"name": user.name, "admin": answer["admin"], "auth_state": answer["auth_state"]}

    async def _may_stay(self, answer: dict[str, Any]) -> bool:
        """By the name that the provider says: here the user may have been renamed."""
        name = answer["name"]
        return bool(self.allow_all or self._is_allowed(name, answer)) and bool(
            await maybe_future(self.check_blocked_users(name, answer))
        )

    async def _ask_again(self, state: dict[str, Any]) -> dict[str, Any] | None:
        """The user as the provider describes them now; `ENDED`; None where it cannot be known."""
        token_info = dict(state["token_response"])
        try:
            return await self._token_to_auth_model(token_info)
        except AccountUnusable:
            return ENDED
        except ProviderFailed as error:
            if error.status not in (401, 403):
                raise
        refresh_token = state.get("refresh_token")
        if not refresh_token:
            return None  # an access token lasts for minutes: again_after_days limits the session
        try:
            fresh = await self.get_token_info(None, self.build_refresh_token_request_params(refresh_token))
        except ProviderFailed as error:
            if error.error == "invalid_grant":
                return ENDED
            raise
        kept = {"refresh_token": refresh_token, "id_token": token_info.get("id_token")}
        fresh = kept | {name: value for name, value in fresh.items() if value is not None}
        try:
            return await self._token_to_auth_model(fresh)
        except AccountUnusable:
            return ENDED
        except ProviderFailed:
            # The old refresh token may be spent: keep the new one, and what was known.
            tokens = self.build_auth_state_dict(fresh, state[self.user_auth_state_key])
            name = self.normalize_username(self.user_info_to_username(state[self.user_auth_state_key]))
            return {"name": name, "admin": None, "auth_state": {**state, **tokens}}


def _named(error: BaseException) -> str:
    return str(error) if isinstance(error, ProviderFailed) else f"{type(error).__name__} while reading its answer"
