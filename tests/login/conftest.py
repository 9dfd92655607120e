"""One Freepool whose users log in by a real OpenID Connect provider, for all tests of this folder that need one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.lean import make_images
from tests.login.provider import CLIENT, SECRET, Provider, running_provider
from tests.stack import PROJECT, Stack, free_port, local_settings, running_stack, write_catalog

OWN_LINES = """
exec(compile(open({path!r}).read(), {path!r}, "exec"))
c.OIDCLogin.auth_refresh_age = 1  # minutes are too long for a test
c.JupyterHub.allow_named_servers = True


def note_hook(spawner):
    spawner.environment["FROM_HOOK"] = "hook"


c.Spawner.environment = {{"FROM_HUB": "hub", "CALLED": lambda spawner: spawner.user.name, "PIP_TIMEOUT": "9"}}
c.Spawner.pre_spawn_hook = note_hook
"""
COURSE = "course-机器学习"
"""The group that the catalog of this stack gives more than everybody: `cpu-large`, an image, and its example."""


def give_by_group(data: dict[str, Any]) -> None:
    """Policies for the tests of them. `cpu-large` can be had once, so that two people are enough for a queue."""
    large = next(flavor for flavor in data["flavors"] if flavor["id"] == "cpu-large")
    large |= {"limit": 1, "reserve": "1GiB"}
    lean = next(image for image in data["images"] if image["id"] == "light")
    data["images"].append(lean | {"id": "course", "title": {"en": "Course", "zh": "课程"}})
    ocr = next(example for example in data["examples"] if example["id"] == "ocr")
    title = {"en": "Homework", "zh": "作业"}
    data["examples"].append(ocr | {"id": "homework", "image": "course", "title": title})
    data["policies"] = [
        {"for": "everybody", "flavors": ["cpu-basic", "gpu-24g"], "images": ["light", "torch", "real"]},
        {"for": {"groups": [COURSE]}, "flavors": ["cpu-large"], "images": ["course"], "session_minutes": 30},
    ]


ACCEPT_AT_ONCE = """
CREATE TRIGGER accept_at_once AFTER INSERT ON people WHEN new.hub_name NOT LIKE 'reader-%' BEGIN
  INSERT INTO terms_acceptances (id, person_id, version, accepted_at, language)
  VALUES (new.id, new.id, 'test-1', new.created_at, 'en');
END
"""
"""With a provider users must accept the terms. In these tests only those do it themselves whose name says so."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="session")
def login_stack() -> Iterator[tuple[Stack, Provider]]:
    """The provider starts after the hub: a hub must start while its provider is away."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    port = free_port()
    (folder / "client-secret").write_text(SECRET)
    (folder / "hub.py").write_text(OWN_LINES.format(path=str(PROJECT / "hub_config" / "jupyterhub_config.py")))
    settings = local_settings(
        folder / "local.yaml",
        images=str(make_images(folder / "images")),
        hub_config="hub.py",
        terms={"version": "test-1"},
        environment={"GIVEN": "by the settings"},
        login={
            "kind": "oidc",
            "name": "Test University",
            "issuer": f"http://127.0.0.1:{port}",
            "client_id": CLIENT,
            "client_secret_file": "client-secret",
            "scopes": ["openid", "profile", "email", "groups"],
            "groups_claim": "realm_access.roles",
            "allowed_users": ["ann"],
            "allowed_groups": ["learners", "学习者"],
            "allowed_domains": ["example.org"],
            "admin_groups": ["operators"],
            "end_provider_session": True,
        },
    )

    def change(data: dict[str, object]) -> None:
        for image in data["images"]:  # type: ignore[attr-defined]
            image["environment"] = "lean" if image["id"] == "light" else image.get("environment")
        real = next(image for image in data["images"] if image["id"] == "light")  # type: ignore[attr-defined]
        data["images"].append(real | {"id": "real", "environment": "light"})  # type: ignore[attr-defined]
        data["environment"] = {
            "PIP_INDEX_URL": "https://mirror.example.org/simple",
            "PIP_TIMEOUT": "5",
            "SSL_CERT_FILE": CERTIFICATES,
        }
        data["limits"]["local_memory"] = "12GiB"  # type: ignore[index]
        give_by_group(data)

    try:
        catalog = write_catalog(folder / "catalog.yaml", change)
        with (
            running_stack(folder / "s", catalog=catalog, settings=settings) as stack,
            running_provider(port, stack.settings.login_callback) as provider,
        ):
            stack.ledger.write(lambda connection: connection.execute(text(ACCEPT_AT_ONCE)))
            yield stack, provider
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stack(login_stack: tuple[Stack, Provider]) -> Stack:
    """Freepool, whose login is the provider's."""
    return login_stack[0]


@pytest.fixture
def provider(login_stack: tuple[Stack, Provider]) -> Iterator[Provider]:
    """The provider, which behaves at first and again afterwards."""
    yield login_stack[1]
    login_stack[1].reset()
