"""Configures JupyterHub's login as the settings say. What is set here is set on our own classes alone.

So nothing of it outlives a change: options of JupyterHub's base class `Authenticator` would go over to whatever
authenticator the hub's own file names instead.
"""

from __future__ import annotations

import getpass
import logging
import os
from typing import Any

from traitlets.config import Config

from spawner.errors import SetupError
from spawner.hub.invitation_texts import on_login_page
from spawner.hub.login import crypt_keys
from spawner.hub.login.links import LinkAuthenticator
from spawner.login_settings import LoginKind
from spawner.settings import Settings

log = logging.getLogger("freepool.login")


def use_login(c: Any, settings: Settings) -> None:
    """The login that the settings name; links where they name none."""
    if settings.login.has_provider:
        _use_provider(c, settings)
    else:
        use_login_links(c, settings)


def use_login_links(c: Any, settings: Settings) -> None:
    """Users log in by the link that `freepool up` prints; this machine's user is the administrator. For a trial."""
    if settings.login.has_provider:
        raise SetupError(
            "The settings say login: {kind}, and the hub's own file asks for links.",
            next_step="Call use_login(c, settings) there instead of use_login_links.",
            kind=settings.login.kind,
        )
    if settings.people.limits_new_accounts:
        raise SetupError(
            "people.invitation_only, new_per_day and new_per_network_per_day do nothing where people log in by links.",
            next_step="Remove them: each link is made by you already. Or name a provider under login.",
        )
    c.JupyterHub.authenticator_class = LinkAuthenticator
    c.LinkAuthenticator.link_secret = settings.secret("link")
    c.LinkAuthenticator.allow_all = True
    c.LinkAuthenticator.admin_users = {getpass.getuser().lower()}


def _use_provider(c: Any, settings: Settings) -> None:
    rules = settings.login
    name, login_class = _class_of(rules.kind)
    client = rules.client()
    c.JupyterHub.authenticator_class = login_class
    own = c[name]
    own.rules = rules
    own.client_id, own.client_secret = client.id, client.secret
    own.oauth_callback_url = settings.login_callback
    own.login_service = rules.title
    own.enable_pkce = True
    own.any_allow_config = True  # the settings have been checked
    if settings.people.invitation_only:
        own.login_note = on_login_page()
    if rules.scopes is not None:
        own.scope = list(rules.scopes)
    # What was learnt at the login is kept, encrypted, so that groups can be looked at again.
    own.enable_auth_state = True
    own.auth_refresh_age = 300
    own.refresh_pre_spawn = False  # a start does not wait for the provider
    own.auth_refresh_strict = True  # a user whom the provider has shut out is out with their tokens, too
    use_crypt_keys(c, settings)
    log.info("Login by %s. Its callback URL, to be registered there: %s", rules.title, settings.login_callback)


def use_crypt_keys(c: Any, settings: Settings) -> None:
    """Give JupyterHub the keys in the secrets, where an authenticator keeps what it learns and the file names none."""
    wanted = any(isinstance(section, Config) and section.get("enable_auth_state") is True for section in c.values())
    if not wanted or os.environ.get("JUPYTERHUB_CRYPT_KEY") or c.get("CryptKeeper", {}).get("keys"):
        return
    try:
        c.CryptKeeper.keys = crypt_keys.read_keys(settings.secret(crypt_keys.NAME))
    except ValueError as error:
        raise SetupError("The file secrets/{name} {why}.", name=crypt_keys.NAME, why=str(error).rstrip(".")) from None
    except SetupError as error:
        raise SetupError(
            "enable_auth_state needs a key with which JupyterHub encrypts what it keeps. ({why})",
            next_step="Make one: openssl rand -hex 32. Put it under {name} in the Secret, or set JUPYTERHUB_CRYPT_KEY.",
            name=crypt_keys.NAME,
            why=error.message,
        ) from None


def _class_of(kind: LoginKind) -> tuple[str, type]:
    """Only what is used is imported: oauthenticator takes a while."""
    if kind is LoginKind.GITHUB:
        from spawner.hub.login.github import GitHubLogin  # noqa: PLC0415

        return "GitHubLogin", GitHubLogin
    from spawner.hub.login.oidc import KINDS  # noqa: PLC0415

    return KINDS[kind].__name__, KINDS[kind]
