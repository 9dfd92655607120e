"""The setting `notebook_hosts`: which hosts notebooks get, and what is refused before anything starts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jupyterhub.utils import subdomain_hook_idna
from pydantic import ValidationError
from traitlets.config import Config

from spawner.hub.subdomains import configure_subdomains, subdomains_for_users
from spawner.settings import Settings, load_settings


def settings(**changes: Any) -> Settings:
    where = {"catalog": "/c", "state": "/s", "examples": "/e", "ledger_url": "sqlite:///x"}
    return Settings.model_validate({**where, **changes})


@pytest.mark.parametrize(
    ("changes", "public", "subdomain_host"),
    [
        ({}, "http://localhost:8000/", "http://localhost:8000"),
        ({"public_port": 8080}, "http://localhost:8080/", "http://localhost:8080"),
        ({"notebook_hosts": "subdomains"}, "http://localhost:8000/", "http://localhost:8000"),
        ({"notebook_hosts": "shared"}, "http://127.0.0.1:8000/", None),
        ({"address": "0.0.0.0"}, "http://0.0.0.0:8000/", None),
        ({"address": "10.244.0.1"}, "http://10.244.0.1:8000/", None),
        ({"public": "http://127.0.0.1:8000/"}, "http://127.0.0.1:8000/", None),
        ({"public": "https://[2001:db8::1]/"}, "https://[2001:db8::1]/", None),
        ({"public": "http://lab.localhost:8000"}, "http://lab.localhost:8000/", "http://lab.localhost:8000"),
        ({"public": "https://lab.example.org/"}, "https://lab.example.org/", "https://lab.example.org"),
        ({"public": "https://lab.example.org/", "notebook_hosts": "shared"}, "https://lab.example.org/", None),
        ({"public": "http://lab.example.org/"}, "http://lab.example.org/", None),
        ({"public": "http://notlocalhost/"}, "http://notlocalhost/", None),
    ],
)
def test_notebooks_have_hosts_of_their_own_where_browsers_can_keep_them_apart(
    changes: dict[str, Any], public: str, subdomain_host: str | None, tmp_path: Path
) -> None:
    chosen = settings(**changes)
    assert (chosen.public_url, chosen.subdomain_host) == (public, subdomain_host)
    assert chosen.guards_pages is (subdomain_host is not None)
    assert chosen.binds_cookies is (subdomain_host is not None and public.startswith("https://"))
    assert settings(**changes, trust_notebooks=True).guards_pages
    file = tmp_path / "settings.json"
    file.write_text(chosen.model_dump_json())
    assert load_settings(file) == chosen, "hub, desk and steward read what was chosen"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"public": "http://lab.example.org/", "notebook_hosts": "subdomains"}, "needs https.*notebook_hosts: shared"),
        ({"public": "http://lab.example.org/", "subdomain_host": "http://lab.example.org"}, "needs https"),
        (
            {"public": "http://lab.example.org/", "subdomain_host": "http://lab.example.org", "trust_notebooks": True},
            "needs https",
        ),
        (
            {"public": "https://192.0.2.1/", "notebook_hosts": "subdomains"},
            "192.0.2.1 is an IP address.*wildcard in DNS",
        ),
        ({"public": "https://lab.example.org/x/", "notebook_hosts": "subdomains"}, "without a path"),
        (
            {"public": "https://a.org/", "subdomain_host": "https://a.org", "notebook_hosts": "shared"},
            "remove one of them",
        ),
        ({"notebook_hosts": "somehow"}, "'auto', 'subdomains' or 'shared'"),
    ],
)
def test_what_cannot_be_kept_apart_is_refused_with_what_to_do(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**changes)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("ann", "ann"),
        ("名字", "xn--eqro3o"),
        ("12", "u-12--[a-z2-7]{26}"),
        ("ann@example.org", "u-annexamp--[a-z2-7]{26}"),
        ("ann_b", "u-annb--[a-z2-7]{26}"),
        ("-", "u-x--[a-z2-7]{26}"),
        ("Ann", "u-ann--[a-z2-7]{26}"),
        ("xn--eqro3o", "u-xneqro3o--[a-z2-7]{26}"),
        ("u-annb--j6umwdwyswy4zljow642kvg7sz", "u-uannbj6u--[a-z2-7]{26}"),
        ("a" * 64, "u-aaaaaaaa--[a-z2-7]{26}"),
    ],
)
def test_each_user_has_a_host_that_is_a_valid_name_and_no_other_users(name: str, label: str) -> None:
    host = subdomains_for_users(name, "lab.example.org", "user")
    assert re.fullmatch(f"{label}\\.lab\\.example\\.org", host), host
    assert len(host.split(".")[0]) <= 63
    assert host.encode("ascii")


def test_two_names_with_the_same_hash_in_jupyterhub_have_different_hosts() -> None:
    """JupyterHub's hash has 28 bits: these two were found in seconds."""
    names = ("ann@example.org", COLLIDING)
    theirs, ours = (
        {hook(name, "localhost", "user") for name in names} for hook in (subdomain_hook_idna, subdomains_for_users)
    )
    assert (len(theirs), len(ours)) == (1, 2)


COLLIDING = "annexamp+31768279@evil.example"


def test_services_stay_on_the_hubs_host_and_an_own_hook_stays() -> None:
    assert subdomains_for_users("desk", "lab.example.org", "service") == "lab.example.org"
    hub = Config()
    hub.subdomain_hook = "legacy"
    configure_subdomains(hub, "https://lab.example.org")
    assert (hub.subdomain_host, hub.subdomain_hook) == ("https://lab.example.org", "legacy")
