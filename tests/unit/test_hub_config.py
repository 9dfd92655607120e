"""Freepool configures its own hub completely, and in an existing hub only what the pool needs."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from traitlets.config import Config

from spawner.hub.config import add_freepool, configure, lend, log_in_by_link
from spawner.hub.spawner import InstanceSpawner
from spawner.settings import SETTINGS_VARIABLE, Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv(SETTINGS_VARIABLE, "/etc/freepool/settings.yaml")
    monkeypatch.delenv("FREEPOOL_API_TOKEN", raising=False)
    (tmp_path / "secrets").mkdir()
    for name in ("desk", "steward", "proxy", "link"):
        (tmp_path / "secrets" / name).write_text(f"secret of {name}")
    return Settings(
        catalog=Path("catalog.yaml"),
        state=tmp_path,
        examples=Path("examples"),
        ledger_url="postgresql+psycopg://db/freepool",
        shared_database=True,
        address="",
        hub_host="hub.jhub.svc",
        hub_port=8081,
        proxy_host="proxy-api.jhub.svc",
        proxy_api_port=8001,
        desk_host="freepool-desk.jhub.svc",
        desk_port=8002,
        public="https://lab.example.org/",
    )


def config_of_another_chart() -> Any:
    """A configuration of another chart: some lists are set, others only extended."""
    c: Any = Config()
    c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
    c.JupyterHub.hub_bind_url = "http://:8081"
    c.JupyterHub.hub_connect_url = "http://hub:8081"
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    c.JupyterHub.services = [{"name": "jupyterhub-idle-culler"}]
    c.JupyterHub.load_roles.append({"name": "jupyterhub-idle-culler"})
    c.JupyterHub.concurrent_spawn_limit = 64
    c.ConfigurableHTTPProxy.api_url = "http://proxy-api:8001"
    return c


def test_freepools_own_hub_is_configured_completely(settings: Settings) -> None:
    c: Any = Config()
    configure(c, settings)
    assert c.JupyterHub.spawner_class is InstanceSpawner
    assert c.JupyterHub.hub_bind_url == "http://:8081"
    assert c.JupyterHub.hub_connect_url == "http://hub.jhub.svc:8081"
    assert c.JupyterHub.bind_url == "https://lab.example.org/"
    assert c.JupyterHub.public_url == "https://lab.example.org/"
    assert c.JupyterHub.tornado_settings["cookie_options"] == {"secure": True}
    assert c.JupyterHub.db_url == settings.ledger
    assert c.ConfigurableHTTPProxy.auth_token == "secret of proxy"
    assert [service["name"] for service in c.JupyterHub.services] == ["desk", "steward"]


def test_the_garbage_collector_leaves_the_hubs_modules_out(settings: Settings) -> None:
    gc.unfreeze()
    configure(Config(), settings)
    assert gc.get_freeze_count() > 100_000


def test_on_one_machine_nothing_but_the_proxy_has_a_port(settings: Settings) -> None:
    c: Any = Config()
    configure(c, settings.model_copy(update={"sockets": Path("/run/free pool"), "public": None, "public_port": 8123}))
    folder = "http+unix://%2Frun%2Ffree%20pool%2F"
    assert c.JupyterHub.hub_bind_url == f"{folder}hub.sock"
    assert c.JupyterHub.hub_connect_url == f"{folder}hub.sock"
    assert c.ConfigurableHTTPProxy.api_url == f"{folder}proxy.sock"
    assert c.Spawner.hub_connect_url == "http://127.0.0.1:8123", "instances see no socket"
    desk = next(service for service in c.JupyterHub.services if service["name"] == "desk")
    assert "url" not in desk, "JupyterHub takes no service with a socket"
    assert desk["oauth_redirect_uri"] == f"{settings.subdomain_host}/services/desk/oauth_callback"
    assert "public_url" not in c.JupyterHub


@pytest.mark.parametrize(
    ("public", "expected"),
    [
        ("https://lab.example.org/freepool/", "a path is not supported: give Freepool a host name of its own"),
        ("https://lab.example.org?x=1", "a path is not supported"),
        ("lab.example.org", "must be the address that browsers use, such as https://lab.example.org"),
        ("ftp://lab.example.org", "must be the address that browsers use"),
        ("https://", "must be the address that browsers use"),
        ("https://lab.example.org:99999", "must be the address that browsers use"),
        ("https://[::1", "must be the address that browsers use"),
        ("https://user:word@lab.example.org", "must be the address that browsers use"),
        ("HTTPS://lab.example.org", "must be the address that browsers use"),
        ("https://:word@lab.example.org", "must be the address that browsers use"),
        ("https://lab%2Eexample.org", "must be the address that browsers use"),
        ("https://lab.example.org:", "must be the address that browsers use"),
        ("https://数据.example", "write a name in other letters as browsers send it, such as https://xn--"),
        ("https://lab.example.org:443", "leave :443 out, as browsers do"),
        ("http://lab.example.org:80/", "leave :80 out, as browsers do"),
    ],
)
def test_an_address_that_cannot_work_is_refused_at_once_in_words(
    public: str, expected: str, settings: Settings
) -> None:
    with pytest.raises(ValidationError, match=expected):
        Settings.model_validate(settings.model_dump() | {"public": public})


@pytest.mark.parametrize(
    ("address", "public", "expected"),
    [
        ("::1", None, "http://localhost:8000/"),
        ("2001:db8::1", None, "http://[2001:db8::1]:8000/"),
        ("::1", "http://[2001:db8::1]:8443", "http://[2001:db8::1]:8443/"),
        ("127.0.0.1", None, "http://localhost:8000/"),
    ],
)
def test_an_ipv6_address_is_written_as_urls_have_it(
    address: str, public: str | None, expected: str, settings: Settings
) -> None:
    found = Settings.model_validate(
        settings.model_dump(exclude={"subdomain_host"}) | {"address": address, "public": public}
    )
    assert found.public_url == expected


def test_an_existing_hub_keeps_its_own_settings(settings: Settings) -> None:
    c, before = config_of_another_chart(), config_of_another_chart()
    add_freepool(c, settings)
    for name in ("db_url", "hub_bind_url", "hub_connect_url"):
        assert c.JupyterHub[name] == before.JupyterHub[name]
    assert c.ConfigurableHTTPProxy == before.ConfigurableHTTPProxy
    assert "bind_url" not in c.JupyterHub
    assert "cookie_secret_file" not in c.JupyterHub
    assert c.JupyterHub.tornado_settings["slow_spawn_timeout"] == 0


def test_an_existing_hub_gets_the_settings_that_the_pool_needs(settings: Settings) -> None:
    c = config_of_another_chart()
    add_freepool(c, settings)
    assert c.JupyterHub.spawner_class is InstanceSpawner
    assert [service["name"] for service in c.JupyterHub.services] == ["jupyterhub-idle-culler", "desk", "steward"]
    assert [role["name"] for role in c.JupyterHub.load_roles] == ["jupyterhub-idle-culler", "user", "steward"]
    assert c.JupyterHub.tornado_settings["freepool_settings_file"] == "/etc/freepool/settings.yaml"
    assert c.JupyterHub.concurrent_spawn_limit == 0, "admission is the pool's"
    assert c.Spawner.hub_connect_url == "http://hub.jhub.svc:8081", "its short name means nothing in another namespace"
    desk = next(service for service in c.JupyterHub.services if service["name"] == "desk")
    assert desk["url"] == "http://freepool-desk.jhub.svc:8002"


def test_names_of_the_release_before_still_work_and_say_the_new_ones(settings: Settings) -> None:
    c = config_of_another_chart()
    with pytest.warns(FutureWarning, match="add_freepool"):
        lend(c, settings)
    assert c.JupyterHub.spawner_class is InstanceSpawner
    with pytest.warns(FutureWarning, match="use_login_links"):
        log_in_by_link(c, settings)
    assert c.LinkAuthenticator.allow_all is True


def test_port_80_is_left_out_as_browsers_leave_it_out(settings: Settings) -> None:
    given = settings.model_dump(exclude={"public", "subdomain_host"}) | {"public_port": 80, "address": "127.0.0.1"}
    found = Settings.model_validate(given)
    assert (found.public_url, found.subdomain_host) == ("http://localhost/", "http://localhost")
