"""The pages of a login by an identity provider: /hub/oauth_login, /hub/oauth_callback, /hub/logout."""

from __future__ import annotations

from typing import Any

from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLoginHandler, OAuthLogoutHandler
from tornado.httputil import url_concat
from tornado.web import HTTPError

from spawner.hub import groups
from spawner.hub.login import texts
from spawner.hub.login.claims import Kept
from spawner.hub.login.http import ProviderFailed
from spawner.hub.login.pages import Heading, LoginRefused, QuietHandler


class StartHandler(QuietHandler, OAuthLoginHandler):
    """Sends the browser to the provider. `?another=1` has it ask for another account."""

    async def get(self) -> None:
        """Look the provider's addresses up, and go there."""
        try:
            await self.authenticator.look_up_addresses()
        except ProviderFailed as error:
            said = texts.provider_fails(self.authenticator.rules.title)
            raise LoginRefused(503, str(error), said, heading=Heading.PROVIDER_AWAY) from None
        super().get()

    def authorize_redirect(self, **kwargs: Any) -> None:
        """Called by oauthenticator."""
        if self.get_argument("another", ""):
            kwargs["extra_params"] = {**kwargs["extra_params"], **self.authenticator.choose_account}
        super().authorize_redirect(**kwargs)


class ReturnHandler(QuietHandler, OAuthCallbackHandler):
    """The provider has sent the browser back."""

    async def get(self) -> None:
        """Log in, or say on a page why not."""
        title = self.authenticator.rules.title
        if self.get_argument("error", ""):
            agreed = self.get_argument("error") != "access_denied"
            page = texts.cannot_log_in(title) if agreed else texts.not_agreed(title)
            raise LoginRefused(403, f"{title} has sent an error", page)
        try:
            self.check_arguments()
        except HTTPError:
            raise LoginRefused(400, "an answer to no login of this browser", texts.begin_again()) from None
        user = await self.login_user()
        if user is None:  # JupyterHub's own rules: a name that it cannot have, or one that is blocked
            said = texts.not_admitted("?", title)
            raise LoginRefused(403, "a name that may not log in", said, heading=Heading.NO_ACCESS)
        self.redirect(self.get_next_url(user))

    async def auth_to_user(self, authenticated: dict[str, Any], user: Any = None) -> Any:
        """Called by JupyterHub with the account that has logged in."""
        new = Kept.read(authenticated["auth_state"])
        known = self.find_user(authenticated["name"])
        before = await self.authenticator.check_account(known, new) if known else None
        if known and new:
            self.authenticator.apply_groups(known, before, new)
        user = await super().auth_to_user(authenticated, user)
        if new and not known:
            self.authenticator.apply_groups(user, new, new)
        self.db.commit()
        if new:
            await groups.record_login(user, new.groups)
        return user


class LogoutHandler(QuietHandler, OAuthLogoutHandler):
    """Ends the session here and, where the settings say so, at the provider."""

    async def render_logout_page(self) -> None:
        """Go to the login page, by way of the provider's own logout."""
        authenticator = self.authenticator
        end = None
        if authenticator.rules.end_provider_session:
            try:
                end = await authenticator.end_session_address()
            except ProviderFailed as error:
                self.log.warning("The session at %s was not ended: %s", authenticator.rules.title, error)
        if end is None:
            await super().render_logout_page()
            return
        back = authenticator.oauth_callback_url.removesuffix("oauth_callback") + "login"
        self.redirect(
            url_concat(end, {"client_id": authenticator.client_id, "post_logout_redirect_uri": back}), permanent=False
        )
