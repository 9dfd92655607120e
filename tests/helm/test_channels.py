"""The chart's values for messages to users: which pod gets which secret."""

from __future__ import annotations

from typing import Any

import pytest

from spawner.settings import Settings
from tests.helm.chart import Values, decoded, of_kind, pods, render, settings_of

MAIL: Values = {
    "channels": {
        "settings": {
            "mail": {"host": "smtp.example.org", "user": "lab", "sender": "lab@example.org"},
            "webhooks": True,
        },
        "existingSecret": "freepool-mail",
    }
}
OWN: Values = {"existingSecret": "mine", "database": {"embedded": {"enabled": False}}}


def mounted(manifests: list[dict[str, Any]], component: str) -> tuple[set[str], dict[str, str]]:
    """Which of the chart's secrets a pod has, and its other Secrets by name with where they are."""
    spec = next(pod for name, pod in pods(manifests) if name == component)["spec"]
    volumes = {one["name"]: one["secret"] for one in spec["volumes"] if "secret" in one}
    places = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
    keys = {item["key"] for item in volumes["secrets"]["items"]}
    return keys, {one["secretName"]: places[name] for name, one in volumes.items() if name != "secrets"}


def test_only_the_steward_sees_the_mail_servers_password() -> None:
    manifests = render(MAIL)
    found = Settings.model_validate(settings_of(manifests)).channels
    assert found.mail is not None
    assert str(found.mail.password_file) == "/srv/channels/smtp-password"
    assert found.webhooks
    keys, others = mounted(manifests, "steward")
    assert "channels" in keys
    assert others == {"freepool-mail": "/srv/channels"}
    keys, others = mounted(manifests, "desk")
    assert "channels" in keys
    assert others == {}
    keys, others = mounted(manifests, "hub")
    assert "channels" not in keys
    assert others == {}


def test_a_secret_of_ones_own_needs_the_new_key_only_with_channels() -> None:
    for component in ("desk", "steward"):
        assert "channels" not in mounted(render(OWN), component)[0]
        assert "channels" in mounted(render(OWN | MAIL), component)[0]


@pytest.mark.parametrize(
    ("steward", "name"),
    [({"notifyUrl": "https://hooks.example.org/token"}, "freepool-steward"), ({"notifySecret": "my-hook"}, "my-hook")],
)
def test_the_webhooks_address_is_in_a_secret(steward: dict[str, str], name: str) -> None:
    manifests = render({"steward": steward})
    settings = settings_of(manifests)
    assert settings["notify_url_file"] == "/srv/notify/notify-url"
    assert "notify_url" not in settings
    assert mounted(manifests, "steward")[1] == {name: "/srv/notify"}
    written = [decoded(secret) for secret in of_kind(manifests, "Secret") if "notify-url" in secret["data"]]
    assert written == ([{"notify-url": steward["notifyUrl"]}] if "notifyUrl" in steward else [])


def test_two_addresses_are_refused() -> None:
    with pytest.raises(Exception, match="exclude each other"):
        render({"steward": {"notifyUrl": "https://hooks.example.org/", "notifySecret": "my-hook"}})
