"""The chart's jupyterhub_config.py, run as JupyterHub runs it, with values as administrators write them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jupyterhub.auth import DummyAuthenticator
from traitlets.config import Config, PyFileConfigLoader

from spawner.hub.link_authenticator import LinkAuthenticator
from spawner.hub.spawner import InstanceSpawner
from spawner.settings import SETTINGS_VARIABLE
from tests.helm.chart import CHART, RELEASE, VALUE_SETS, Values, decoded, manifest_of, render, settings_of


def config_of(values: Values, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The configuration that JupyterHub reads in the hub's pod, with local folders."""
    manifests = render(values)
    settings = settings_of(manifests) | {"state": str(folder)}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    (folder / "secrets").mkdir()
    for name, word in decoded(manifest_of(manifests, "Secret", RELEASE)).items():
        (folder / "secrets" / name).write_text(word)
    own = manifest_of(manifests, "Secret", "freepool-hub")["data"]
    for name, text in manifest_of(manifests, "ConfigMap", "freepool-hub")["data"].items():
        (folder / name).write_text(text)
    for name, text in own.items():
        (folder / name).write_bytes(base64.b64decode(text))
    monkeypatch.setenv(SETTINGS_VARIABLE, str(folder / "settings.yaml"))
    return PyFileConfigLoader("jupyterhub_config.py", path=str(folder)).load_config()


def test_users_log_in_by_link_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    c = config_of({}, tmp_path, monkeypatch)
    assert c.JupyterHub.authenticator_class is LinkAuthenticator
    assert c.JupyterHub.spawner_class is InstanceSpawner
    assert c.JupyterHub.db_url.startswith("postgresql+psycopg://freepool:")
    assert c.JupyterHub.upgrade_db is True
    assert c.ConfigurableHTTPProxy.api_url == "http://freepool-proxy-api.lab.svc:8001"


def test_another_authenticator_replaces_login_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = {
        "config": {
            "JupyterHub": {
                "authenticator_class": "github",
                "services": [{"name": "mine", "api_token": "word"}],
                "last_activity_interval": 9,
            },
            "GitHubOAuthenticator": {"client_id": "id", "client_secret": "word"},
            "Authenticator": {"allow_all": True, "admin_users": ["ann", "bob"]},
        },
        "extraConfig": "c.JupyterHub.log_level = 'DEBUG'\nc.Spawner.poll_interval = 33\n"
        "c.JupyterHub.load_roles.append({'name': 'mine'})\n",
    }
    c = config_of({"hub": hub}, tmp_path, monkeypatch)
    assert c.JupyterHub.authenticator_class == "github"
    assert "LinkAuthenticator" not in c
    assert c.GitHubOAuthenticator == Config(client_id="id", client_secret="word")
    assert DummyAuthenticator(config=c).admin_users == {"ann", "bob"}
    assert c.JupyterHub.last_activity_interval == 9
    assert [service["name"] for service in c.JupyterHub.services] == ["desk", "steward", "mine"]
    assert [role["name"] for role in c.JupyterHub.load_roles] == ["user", "steward", "mine"]
    assert (c.JupyterHub.log_level, c.Spawner.poll_interval) == ("DEBUG", 33)


def test_values_for_zero_to_jupyterhub_fit_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_hub = yaml.safe_load((CHART / "z2jh-values.yaml").read_text())["hub"]
    manifests = render(VALUE_SETS["hub of another chart"])
    volumes = {volume["name"]: volume for volume in other_hub["extraVolumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in other_hub["extraVolumeMounts"]}
    assert set(volumes) == set(mounts)
    config = manifest_of(manifests, "ConfigMap", volumes["freepool"]["configMap"]["name"])
    named = Path(other_hub["extraEnv"][SETTINGS_VARIABLE])
    assert named.parent == Path(mounts["freepool"])
    settings = yaml.safe_load(config["data"][named.name])
    assert settings["state"] + "/secrets" == mounts["freepool-secrets"]
    secret = decoded(manifest_of(manifests, "Secret", volumes["freepool-secrets"]["secret"]["secretName"]))
    keys = {item["key"] for item in volumes["freepool-secrets"]["secret"]["items"]}
    assert keys < set(secret)
    (rule,) = other_hub["networkPolicy"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": settings["hub_port"]}]

    (tmp_path / "secrets").mkdir()
    for name in keys:
        (tmp_path / "secrets" / name).write_text(secret[name])
    (tmp_path / "settings.json").write_text(json.dumps(settings | {"state": str(tmp_path)}))
    monkeypatch.setenv(SETTINGS_VARIABLE, str(tmp_path / "settings.json"))
    c: Any = Config()
    c.JupyterHub.services = [{"name": "theirs"}]
    for _, program in sorted(other_hub["extraConfig"].items()):
        exec(program, {"c": c})
    assert c.JupyterHub.spawner_class is InstanceSpawner
    assert [service["name"] for service in c.JupyterHub.services] == ["theirs", "desk", "steward"]
