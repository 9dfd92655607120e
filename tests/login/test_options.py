"""What an operator sets takes effect, or is refused: options of spawners, variables of programs and instances."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jupyterhub.spawner import Spawner
from traitlets.config import Config

from spawner.catalog import load_catalog
from spawner.errors import CatalogInvalid, SetupError
from spawner.hub.spawner import InstanceSpawner
from spawner.hub.spawner_options import NO_EFFECT, TAKE_EFFECT, without_effect
from spawner.local.environment import check_files, for_hub, for_programs, left_out
from spawner.settings import SETTINGS_VARIABLE, TOKEN_VARIABLE, Settings
from tests.stack import PROJECT, write_catalog


def settings(**more: Any) -> Settings:
    return Settings(catalog=Path("catalog.yaml"), state=Path("state"), examples=Path("examples"), **more)


def test_each_option_of_jupyterhub_is_known_to_work_or_not_to() -> None:
    """A new version of JupyterHub may bring more."""
    options = set(Spawner.class_traits(config=True)) | set(InstanceSpawner.class_traits(config=True))
    assert options <= TAKE_EFFECT | set(NO_EFFECT)
    assert not TAKE_EFFECT & set(NO_EFFECT)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("c.Spawner.mem_limit = '1G'", "c.Spawner.mem_limit does nothing here: set it at a flavor in the catalog"),
        ("c.InstanceSpawner.args.append('--x')", "c.InstanceSpawner.args does nothing here: the catalog's image"),
        ("c.KubeSpawner.image = 'x'", "c.KubeSpawner.image does nothing here: notebooks are started by"),
        ("c.Spawner.pre_spawn_hok = print", "c.Spawner.pre_spawn_hok: there is no such option"),
        ("c.JupyterHub.internal_ssl = True", "c.JupyterHub.internal_ssl does nothing here"),
        (
            "c.Spawner.group_overrides = {'1': {'groups': ['gpu'], 'spawner_override': {'cpu_limit': 2}}}",
            "c.Spawner.group_overrides['1']: cpu_limit does nothing here",
        ),
    ],
)
def test_an_option_that_would_do_nothing_is_named(lines: str, said: str) -> None:
    c: Any = Config()
    exec(lines, {"c": c})
    (sentence,) = without_effect(c)
    assert sentence.startswith(said)


def test_options_that_take_effect_are_not() -> None:
    c: Any = Config()
    c.Spawner.environment = {"A": "b"}
    c.Spawner.pre_spawn_hook = print
    c.InstanceSpawner.default_url = "/lab/tree/examples"
    assert c.KubeSpawner is not None  # traitlets adds a section to the configuration when it is read
    assert list(without_effect(c)) == []


def test_a_hub_with_such_an_option_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for name in ("link", "proxy", "desk", "steward"):
        (tmp_path / "secrets" / name).write_text("ab" * 32)
    (tmp_path / "settings.json").write_text(settings(public="http://127.0.0.1:8000/").model_dump_json())
    data = yaml.safe_load((tmp_path / "settings.json").read_text()) | {"state": str(tmp_path)}
    (tmp_path / "settings.json").write_text(yaml.safe_dump(data))
    file = tmp_path / "hub.py"
    file.write_text((PROJECT / "hub_config" / "jupyterhub_config.py").read_text() + "\nc.Spawner.mem_limit = '1G'\n")
    ended = subprocess.run(
        [sys.executable, "-m", "jupyterhub", "-f", str(file)],
        env={**os.environ, SETTINGS_VARIABLE: str(tmp_path / "settings.json")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "c.Spawner.mem_limit does nothing here: set it at a flavor in the catalog" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_certificates_and_proxies_reach_every_program_and_clients_of_logins_the_hub_alone() -> None:
    here = {
        "HTTPS_PROXY": "http://proxy.example.org:3128",
        "no_proxy": "example.org",
        "SSL_CERT_FILE": "/etc/ssl/company.pem",
        "GITHUB_CLIENT_ID": "id",
        "GITHUB_CLIENT_SECRET": "hidden",
        "JUPYTERHUB_CRYPT_KEY": "hidden",
        "LD_PRELOAD": "/tmp/x.so",
        "AWS_SECRET_ACCESS_KEY": "hidden",
    }
    every = for_programs(settings(), here)
    assert {"HTTPS_PROXY", "SSL_CERT_FILE"} <= set(every)
    assert not {"GITHUB_CLIENT_SECRET", "JUPYTERHUB_CRYPT_KEY", "LD_PRELOAD", "AWS_SECRET_ACCESS_KEY"} & set(every)
    assert every["no_proxy"] == "example.org,127.0.0.1,::1,localhost", "they talk to each other on this machine"
    assert set(for_hub(here)) == {"GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET", "JUPYTERHUB_CRYPT_KEY"}


@pytest.mark.parametrize("token", ["seven77", "a" * 65, "with a space", "schlüssel"])
def test_a_token_with_which_the_hub_would_not_start_is_refused(token: str) -> None:
    with pytest.raises(SetupError, match="FREEPOOL_API_TOKEN cannot be used"):
        for_hub({TOKEN_VARIABLE: token})
    assert for_hub({TOKEN_VARIABLE: "a" * 64}) == {TOKEN_VARIABLE: "a" * 64}


def test_settings_pass_more_variables_on_or_set_them() -> None:
    found = for_programs(settings(environment={"PGSSLMODE": None, "MINE": "x"}), {"PGSSLMODE": "verify-full"})
    assert (found["PGSSLMODE"], found["MINE"]) == ("verify-full", "x")
    with pytest.raises(SetupError, match="PGSSLMODE is to be passed on, and is not set here"):
        for_programs(settings(environment={"PGSSLMODE": None}), {})
    with pytest.raises(SetupError, match="TMPDIR cannot be set there"):
        for_programs(settings(environment={"TMPDIR": "/x"}), {})


def test_what_looks_as_if_it_were_meant_for_a_program_and_reaches_none_is_named() -> None:
    here = {"OAUTH2_TLS_VERIFY": "0", "GITLAB_CLIENT_ID": "x", "EDITOR": "vi", "GITHUB_CLIENT_ID": "x"}
    assert left_out(settings(), here) == ["GITLAB_CLIENT_ID", "OAUTH2_TLS_VERIFY"]
    assert left_out(settings(environment={"OAUTH2_TLS_VERIFY": None}), here) == ["GITLAB_CLIENT_ID"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("JUPYTERHUB_API_TOKEN", "x", "may not be set"),
        ("PATH", "/x", "may not be set"),
        ("SSL_CERT_FILE", "company.pem", "absolute path"),
        ("NO NAME", "x", "is not a valid variable name"),
    ],
)
def test_the_catalog_refuses_variables_that_would_break_instances(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    catalog = write_catalog(tmp_path / "catalog.yaml", lambda data: data.update(environment={name: value}))
    with pytest.raises(CatalogInvalid, match=said):
        load_catalog(catalog)


def test_a_file_that_a_sandbox_does_not_show_is_refused(tmp_path: Path) -> None:
    (tmp_path / "company.pem").touch()
    for path in (tmp_path / "company.pem", Path("/etc/ssl/no-such-file.pem")):
        catalog = write_catalog(
            tmp_path / "catalog.yaml", lambda data, path=path: data.update(environment={"SSL_CERT_FILE": str(path)})
        )
        with pytest.raises(SetupError, match="which instances do not see"):
            check_files(load_catalog(catalog))
