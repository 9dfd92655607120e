"""docs/login.md, word for word: what it says to write is read, configured and rendered."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from traitlets.config import Config

from spawner.catalog import Membership, Policy, load_catalog, rights_of
from spawner.cli_parser import build_parser
from spawner.errors import SetupError
from spawner.hub.config import use_login
from spawner.local import preflight
from spawner.local.secrets import make_secrets
from spawner.login_settings import LoginSettings
from spawner.people_settings import ClassLimits, ClassRule, PeopleSettings
from spawner.settings import Settings
from tests.helm.chart import Values, decoded, manifest_of, of_kind, pods, render, settings_of
from tests.helm.test_hub_config import config_of
from tests.stack import PROJECT, local_settings, write_catalog

PAGE = (PROJECT / "docs" / "login.md").read_text()


def blocks(comment: str) -> list[str]:
    """The examples whose first line says which file they are for."""
    return [text for text in re.findall(r"```\w+\n(.*?)```", PAGE, re.DOTALL) if text.startswith(f"# {comment}\n")]


LOCAL = [block for block in blocks("hub_config/local.yaml") if "login:" in block]
KINDS = {yaml.safe_load(block)["login"]["kind"]: block for block in LOCAL}


def configured(folder: Path, block: str) -> Any:
    """As `freepool up` and the hub read it."""
    make_secrets(folder)
    file = local_settings(folder / "local.yaml", **yaml.safe_load(block))
    (folder / "client-secret").write_text("the-secret\n")
    local = dict(preflight.read_local_file(file))
    local.pop("hub_config")
    settings = preflight.complete(local, state=folder, public="https://lab.example.org/")
    c: Any = Config()
    use_login(c, settings)
    return c.JupyterHub.authenticator_class(config=c)


def test_there_is_an_example_for_each_kind() -> None:
    assert set(KINDS) == {"links", "github", "google", "oidc"}


@pytest.mark.parametrize("kind", ["github", "google", "oidc"])
def test_the_settings_of_the_page_log_in(tmp_path: Path, kind: str) -> None:
    login = configured(tmp_path, KINDS[kind])
    assert login.client_secret == "the-secret"
    assert login.get_callback_url() == "https://lab.example.org/hub/oauth_callback"
    assert "https://lab.example.org/hub/oauth_callback" in PAGE
    assert (
        login.scope
        == {
            "github": ["read:org"],
            "google": ["openid", "profile", "email"],
            "oidc": ["openid", "profile", "email", "offline_access"],
        }[kind]
    )


def test_the_links_of_the_page(tmp_path: Path) -> None:
    assert type(configured(tmp_path, KINDS["links"])).__name__ == "LinkAuthenticator"


def test_every_setting_is_on_the_page() -> None:
    told = set(re.findall(r"`([a-z_]+)`", PAGE)) | {"link_days", "server", "issuer"}
    assert set(LoginSettings.model_fields) <= told


def test_the_classes_of_the_page_and_every_setting_of_them_is_on_it(tmp_path: Path) -> None:
    (block,) = blocks("hub_config/local.yaml: people")
    settings = Settings(catalog=tmp_path, state=tmp_path, examples=tmp_path, **yaml.safe_load(block))
    assert settings.people.known[0].wanted() == {"email_verified": (True,)}
    assert settings.people.limits.new.session_minutes == 60
    told = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert set(PeopleSettings.model_fields) | set(ClassRule.model_fields) | set(ClassLimits.model_fields) <= told


def test_the_commands_of_the_page_are_commands() -> None:
    (block,) = [text for text in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "freepool invite" in text]
    parser = build_parser()
    for line in block.splitlines():
        parser.parse_args(shlex.split(line, comments=True)[1:])


def test_limits_of_new_accounts_are_refused_with_links(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    for people in ({"invitation_only": True}, {"new_per_day": 5}, {"new_per_network_per_day": 5}):
        settings = Settings(catalog=tmp_path, state=tmp_path, examples=tmp_path, people=PeopleSettings(**people))
        with pytest.raises(SetupError, match="do nothing where people log in by links"):
            use_login(Config(), settings)


def test_the_values_of_the_page_give_the_hub_this_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks("values for the chart")
    values: Values = yaml.safe_load(block)
    manifests = render(values)
    assert settings_of(manifests)["login"]["client_secret_file"] == "/srv/login/client-secret"
    secret_mounts = {
        component: [volume["name"] for volume in pod["spec"]["volumes"] if volume["name"] == "login"]
        for component, pod in pods(manifests)
        if pod["spec"].get("volumes")
    }
    assert {component for component, found in secret_mounts.items() if found} == {"hub", "check"}
    hub = next(pod for component, pod in pods(manifests) if component == "hub")
    (secrets,) = [volume["secret"] for volume in hub["spec"]["volumes"] if volume["name"] == "secrets"]
    assert "crypt-keys" in {item["key"] for item in secrets["items"]}
    (tmp_path / "client-secret").write_text("the-secret")
    values["login"]["settings"]["client_secret_file"] = str(tmp_path / "client-secret")
    login = config_of(values, tmp_path, monkeypatch).JupyterHub.authenticator_class
    assert login.__name__ == "GitHubLogin"


def test_an_upgrade_of_somebody_who_has_a_secret_of_their_own_needs_no_new_key() -> None:
    manifests = render({"existingSecret": "mine", "database": {"embedded": {"enabled": False}}})
    hub = next(pod for component, pod in pods(manifests) if component == "hub")
    (secrets,) = [volume["secret"] for volume in hub["spec"]["volumes"] if volume["name"] == "secrets"]
    assert "crypt-keys" not in {item["key"] for item in secrets["items"]}


def test_generated_keys_fit_the_hub() -> None:
    manifests = render({})
    named = {secret["metadata"]["name"]: secret for secret in of_kind(manifests, "Secret")}
    found = decoded(named["freepool"])["crypt-keys"]
    assert re.fullmatch("[0-9a-f]{64}", found)
    assert manifest_of(manifests, "Secret", "freepool")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {
                "login": {"settings": {"kind": "github"}},
                "hub": {"config": {"JupyterHub": {"authenticator_class": "github"}}},
            },
            "both name a login",
        ),
        ({"login": {"settings": {"kind": "github"}}, "existingHub": {"enabled": True}}, "the other hub logs people in"),
    ],
)
def test_the_chart_refuses_two_logins(values: Values, said: str) -> None:
    with pytest.raises(Exception, match=said):
        render(values)


def test_the_authenticator_of_ones_own_admits_who_is_named(tmp_path: Path) -> None:
    (block,) = blocks("hub_config/jupyterhub_config.py")
    make_secrets(tmp_path)
    settings = Settings(catalog=tmp_path, state=tmp_path, examples=tmp_path)
    c: Any = Config()
    use_login(c, settings)
    exec(block, {"c": c})
    login = c.JupyterHub.authenticator_class(config=c)
    assert (login.allow_all, login.allowed_users, login.admin_users) == (False, {"ann"}, set())


def test_variables_of_the_page(tmp_path: Path) -> None:
    (programs,) = [yaml.safe_load(block) for block in blocks("hub_config/local.yaml") if "login:" not in block]
    assert Settings(catalog=tmp_path, state=tmp_path, examples=tmp_path, **programs).environment == {
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": None,
    }
    _, instances = [yaml.safe_load(block) for block in blocks("hub_config/catalog.yaml")]
    catalog = load_catalog(write_catalog(tmp_path / "catalog.yaml", lambda data: data.update(instances)))
    assert catalog.environment == instances["environment"]


def test_the_policies_of_the_page_give_what_it_says(tmp_path: Path) -> None:
    policies, _ = [yaml.safe_load(block) for block in blocks("hub_config/catalog.yaml")]
    catalog = load_catalog(write_catalog(tmp_path / "catalog.yaml", lambda data: data.update(policies)))
    keys = set(re.findall(r"^\| `([a-z_]+)`(?:, `([a-z_]+)`)? \|", PAGE.split("## Who may use what")[1], re.MULTILINE))
    assert {field.alias or name for name, field in Policy.model_fields.items()} <= {
        key for pair in keys for key in pair
    }
    nobody, staff = (rights_of(catalog, Membership(frozenset(names))) for names in ([], ["staff"]))
    assert [nobody.flavor(one.id) is None for one in catalog.flavors] == [True, True, False]
    assert [staff.flavor(one.id) is None for one in catalog.flavors] == [True, True, True]
    assert [nobody.session_minutes(one) for one in catalog.flavors] == [one.session_minutes for one in catalog.flavors]
    assert {staff.session_minutes(one) for one in catalog.flavors} == {480}
    assert staff.queue_weight("cpu-basic") == 4


def test_a_new_key_comes_first_and_old_ones_stay(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    file = tmp_path / "secrets" / "crypt-keys"
    before = file.read_text().split()
    (command,) = re.findall("freepool (new-login-key)", PAGE)
    subprocess.run(
        [sys.executable, "-m", "spawner.cli", command, "--state", str(tmp_path)], check=True, capture_output=True
    )
    after = file.read_text().split()
    assert after[1:] == before
    assert file.stat().st_mode & 0o077 == 0
