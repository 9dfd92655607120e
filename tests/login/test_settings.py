"""The section `login`: nobody enters, and nobody administrates, unless the settings say so."""

from __future__ import annotations

import getpass
import importlib
from pathlib import Path
from typing import Any

import pytest
from jupyterhub.auth import Authenticator
from oauthenticator.github import GitHubOAuthenticator
from pydantic import ValidationError
from traitlets.config import Config

from spawner.errors import SetupError
from spawner.hub.login.claims import is_admin, is_admitted
from spawner.hub.login.config import use_login, use_login_links
from spawner.login_settings import LoginSettings
from spawner.settings import Settings

GROUPS: frozenset[str] = frozenset()
OIDC = {"kind": "oidc", "issuer": "https://id.example.org"}


def installation(folder: Path, **login: Any) -> Settings:
    (folder / "secrets").mkdir(exist_ok=True)
    for name in ("link", "crypt-keys"):
        (folder / "secrets" / name).write_text("ab" * 32)
    (folder / "client-secret").write_text("a-secret-of-the-client\n")
    if login:
        login = {"client_id": "freepool", "client_secret_file": folder / "client-secret", **login}
    return Settings(
        catalog=Path("catalog.yaml"),
        state=folder,
        examples=Path("examples"),
        public="https://lab.example.org/",
        login=LoginSettings(**login),
    )


@pytest.mark.parametrize("kind", ["github", "google", "oidc"])
def test_without_a_word_about_whom_to_admit_the_settings_are_refused(kind: str) -> None:
    with pytest.raises(ValidationError, match="nobody could log in: name allowed_users"):
        LoginSettings.model_validate({"kind": kind, "issuer": OIDC["issuer"] if kind == "oidc" else None})


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"allow_all": True}, "links have no provider"),
        ({"kind": "oidc", "allow_all": True}, "issuer: oidc needs it"),
        ({"kind": "github", "allow_all": True, "issuer": "https://id.example.org"}, "no other kind has it"),
        ({"kind": "oidc", "issuer": "http://id.example.org", "allow_all": True}, "begins with https"),
        ({"kind": "oidc", "issuer": "id.example.org", "allow_all": True}, "begins with https"),
        ({**OIDC, "allowed_groups": ["staff"]}, "groups_claim"),
        ({"kind": "google", "allowed_groups": ["staff"]}, "Google does not say"),
        ({"kind": "github", "allowed_domains": ["example.org"]}, "GitHub does not say"),
        ({"kind": "github", "allow_all": True, "groups_claim": "groups"}, "only oidc has it"),
        ({"kind": "github", "allowed_user": ["ann"]}, "allowed_user"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        LoginSettings.model_validate(settings)


def test_a_provider_on_this_machine_may_be_plain_http() -> None:
    assert LoginSettings.model_validate({"kind": "oidc", "issuer": "http://127.0.0.1:9000", "allow_all": True})


def test_nobody_but_those_named_is_admitted_or_an_administrator() -> None:
    rules = LoginSettings.model_validate({**OIDC, "allowed_users": ["Ann"]})
    assert is_admitted(rules, "ann", GROUPS, None)
    for name in ("bob", "root", getpass.getuser(), ""):
        assert not is_admitted(rules, name, GROUPS, None)
        assert not is_admin(rules, name, GROUPS)


def test_each_way_of_being_admitted_is_enough() -> None:
    rules = LoginSettings.model_validate(
        {
            **OIDC,
            "groups_claim": "groups",
            "allowed_groups": ["learners"],
            "allowed_domains": ["Example.org"],
            "admin_users": ["ada"],
            "admin_groups": ["operators"],
        }
    )
    assert is_admitted(rules, "x", frozenset({"learners"}), None)
    assert is_admitted(rules, "x", GROUPS, "example.org")
    assert is_admitted(rules, "ada", GROUPS, None)
    assert is_admitted(rules, "x", frozenset({"operators"}), None)
    assert is_admin(rules, "x", frozenset({"operators"}))
    assert not is_admin(rules, "x", frozenset({"learners"}))
    assert not is_admitted(rules, "x", frozenset({"Learners"}), "notexample.org")


def test_what_a_trial_sets_does_not_reach_another_login(tmp_path: Path) -> None:
    """In the hub's own file a line after ours names another authenticator, as the docs once said."""
    c: Any = Config()
    use_login_links(c, installation(tmp_path))
    c.JupyterHub.authenticator_class = GitHubOAuthenticator
    for login in (GitHubOAuthenticator(config=c), Authenticator(config=c)):
        assert login.allow_all is False
        assert login.admin_users == set()
        assert login.allowed_users == set()


@pytest.mark.parametrize("kind", ["github", "google", "oidc"])
def test_a_login_of_the_settings_is_configured_whole(tmp_path: Path, kind: str) -> None:
    more = {"issuer": "https://id.example.org"} if kind == "oidc" else {}
    settings = installation(tmp_path, kind=kind, allowed_users=("ann",), **more)
    c: Any = Config()
    use_login(c, settings)
    login = c.JupyterHub.authenticator_class(config=c)
    assert login.client_id == "freepool"
    assert login.client_secret == "a-secret-of-the-client"
    assert login.get_callback_url() == "https://lab.example.org/hub/oauth_callback"
    assert login.enable_pkce is True
    assert login.enable_auth_state is True
    assert (login.allow_all, login.admin_users, login.allow_existing_users) == (False, set(), False)
    assert "Authenticator" not in c, "another authenticator would inherit it"


def test_links_in_the_hubs_file_and_a_provider_in_the_settings_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Call use_login"):
        use_login_links(Config(), installation(tmp_path, kind="github", allow_all=True))


def test_client_and_secret_come_from_the_environment_where_the_settings_have_none() -> None:
    rules = LoginSettings.model_validate({"kind": "github", "allow_all": True})
    client = rules.client({"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "hidden"})
    assert (client.id, client.secret) == ("id", "hidden")
    assert "hidden" not in repr(client)
    with pytest.raises(SetupError, match="GITHUB_CLIENT_ID in the environment"):
        rules.client({})
    with pytest.raises(SetupError, match="GITHUB_CLIENT_SECRET in the environment"):
        rules.client({"GITHUB_CLIENT_ID": "id"})


@pytest.mark.parametrize(("text", "what"), [(None, "No such file"), ("", "holds no"), ("two words", "holds no")])
def test_a_file_that_holds_no_secret_is_named(tmp_path: Path, text: str | None, what: str) -> None:
    file = tmp_path / "secret"
    if text is not None:
        file.write_text(text)
    rules = LoginSettings.model_validate(
        {"kind": "github", "allow_all": True, "client_id": "id", "client_secret_file": file}
    )
    with pytest.raises(SetupError, match=what):
        rules.client({})


def test_keys_of_what_is_kept_are_checked(tmp_path: Path) -> None:
    settings = installation(tmp_path, kind="github", allow_all=True)
    (tmp_path / "secrets" / "crypt-keys").write_text("short\n")
    with pytest.raises(SetupError, match="crypt-keys needs one key of 64 hexadecimal digits"):
        use_login(Config(), settings)


@pytest.mark.parametrize(("old", "new"), [("link_authenticator", "login.links"), ("login_link", "login.link")])
def test_modules_of_the_release_before_can_be_imported_and_say_the_new_names(old: str, new: str) -> None:
    with pytest.warns(FutureWarning, match=f"is now spawner.hub.{new}"):
        module = importlib.import_module(f"spawner.hub.{old}")
    assert all(
        getattr(module, name) is getattr(importlib.import_module(f"spawner.hub.{new}"), name) for name in module.__all__
    )
