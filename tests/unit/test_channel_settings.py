"""The section `channels` of the settings: mistakes are named, and secrets are read from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spawner.channel_settings import ChannelSettings, MailServer, is_mail_address
from spawner.errors import SetupError

SERVER: dict[str, Any] = {"host": "smtp.example.org", "sender": "lab@example.org"}


def server(**changes: Any) -> MailServer:
    return MailServer.model_validate(SERVER | changes)


def test_nothing_is_offered_where_nothing_is_set() -> None:
    assert not ChannelSettings().is_on
    assert ChannelSettings(webhooks=True).is_on
    assert ChannelSettings(mail=server()).is_on


def test_a_process_reads_what_the_supervisor_has_written() -> None:
    settings = ChannelSettings(mail=server(user="lab"), webhooks=True, webhook_hosts=("a.example.org",))
    assert ChannelSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465)])
def test_the_port_follows_the_encryption(security: str, port: int) -> None:
    assert server(security=security).actual_port == port
    assert server(security=security, port=2525).actual_port == 2525


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.9.9.9"])
def test_unencrypted_mail_is_for_this_machine(host: str) -> None:
    assert server(host=host, security="none").actual_port == 25


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"security": "none"}, "use starttls or tls"),
        ({"security": "none", "host": "127.0.0.1.example.org"}, "use starttls or tls"),
        ({"sender": "lab"}, "mail address"),
        ({"sender": "lab@example.org\nBcc: x@example.org"}, "mail address"),
        ({"reply_to": "a@example.org, b@example.org"}, "mail address"),
        ({"sender_name": "Free\npool"}, "one line"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"smtp": 1}, "Extra inputs"),
    ],
)
def test_a_mistake_in_the_mail_server_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        server(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"webhook_hosts": ["hooks.example.org"]}, "without webhooks: true"),
        ({"private_addresses": True}, "without webhooks: true"),
        ({"webhooks": True, "webhook_hosts": ["https://hooks.example.org"]}, "is not a host"),
    ],
)
def test_a_mistake_in_webhooks_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ChannelSettings.model_validate(changes)


def test_hosts_of_webhooks_are_names_or_all_below_one() -> None:
    settings = ChannelSettings(webhooks=True, webhook_hosts=("Hooks.example.org", "*.example.com"))
    assert [settings.allows_host(host) for host in ("hooks.example.org", "a.example.com", "a.b.example.com")] == [
        True
    ] * 3
    assert not any(settings.allows_host(host) for host in ("example.com", "xexample.com", "a.hooks.example.org", ""))
    assert ChannelSettings(webhooks=True).allows_host("anything.example.net")


def test_the_password_comes_from_a_file(tmp_path: Path) -> None:
    assert server().password(tmp_path) is None
    with pytest.raises(SetupError, match=r"smtp-password cannot be read: No such file"):
        server(user="lab").password(tmp_path)
    (tmp_path / "smtp-password").write_text("one\n")
    assert server(user="lab").password(tmp_path) == "one"
    (tmp_path / "other").write_text("two")
    assert server(user="lab", password_file=tmp_path / "other").password(tmp_path) == "two"


@pytest.mark.parametrize("text", ["a@b", "ann@example.org", "ann.b+c@sub.example.org", "o'neil@example.org"])
def test_these_are_mail_addresses(text: str) -> None:
    assert is_mail_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "ann", "@example.org", "ann@", "ann@-a.org", "a b@example.org", "a@b@c", "ann@a.org\n", "<ann@a.org>",
     "ann@exa..org", "安@example.org", "a" * 65 + "@example.org", '"a b"@example.org', "ann@[127.0.0.1]", "a,b@c"],
)  # fmt: skip
def test_these_are_none(text: str) -> None:
    assert not is_mail_address(text)
