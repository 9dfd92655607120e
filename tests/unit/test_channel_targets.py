"""Where messages of users may be sent to."""

from __future__ import annotations

import pytest

from spawner.channel_settings import ChannelSettings
from spawner.channels.keys import ChannelKeys
from spawner.channels.targets import checked, is_public
from spawner.errors import BadOption
from spawner.ledger.channels.rows import ChannelKind

WEBHOOKS = ChannelSettings(webhooks=True)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "1.1.1.1"])
def test_these_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::7f00:1",
    ],
)  # fmt: skip
def test_these_are_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "url", ["https://hooks.example.org/a?b=c", "https://1.1.1.1/x", "https://[2606:4700::1]:8443/"]
)
def test_a_webhook_is_an_https_url(url: str) -> None:
    assert checked(ChannelKind.WEBHOOK, url, WEBHOOKS) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example.org", "http://hooks.example.org/", "ftp://hooks.example.org/", "https://", "https:///x",
        "https://ann:pw@hooks.example.org/", "https://hooks.example.org/#x", "https://hooks.example.org/a b",
        "https://hooks.example.org:0/", "https://hooks.example.org:x/", "https://[::1", "https://ex\u00e4mple.org/",
        "https://a.example.org/\nX: y", "https://a.example.org/" + "x" * 2048,
        "https://127.0.0.1/", "https://[::1]:8443/", "https://10.0.0.1/", "https://169.254.169.254/latest",
    ],
)  # fmt: skip
def test_nothing_else_is(url: str) -> None:
    with pytest.raises(BadOption):
        checked(ChannelKind.WEBHOOK, url, WEBHOOKS)


def test_private_addresses_are_taken_where_the_settings_allow_them() -> None:
    settings = ChannelSettings(webhooks=True, private_addresses=True)
    assert checked(ChannelKind.WEBHOOK, "https://10.0.0.1/", settings)


def test_only_what_is_offered_is_taken() -> None:
    with pytest.raises(BadOption, match="sends no mail"):
        checked(ChannelKind.EMAIL, "ann@example.org", WEBHOOKS)
    with pytest.raises(BadOption, match="calls no webhooks"):
        checked(ChannelKind.WEBHOOK, "https://hooks.example.org/", ChannelSettings())
    few = ChannelSettings(webhooks=True, webhook_hosts=("hooks.example.org",))
    with pytest.raises(BadOption, match=r"Allowed hosts: hooks\.example\.org\."):
        checked(ChannelKind.WEBHOOK, "https://other.example.org/", few)


def test_addresses_of_one_mailbox_have_one_digest() -> None:
    keys = ChannelKeys("k")
    digest = keys.digest(ChannelKind.EMAIL, "ann@example.org")
    assert digest == keys.digest(ChannelKind.EMAIL, "Ann+1@Example.org")
    assert digest != keys.digest(ChannelKind.EMAIL, "bob@example.org")
    assert digest != keys.digest(ChannelKind.EMAIL, "a.nn@example.org")
    google = {keys.digest(ChannelKind.EMAIL, f"{one}@{domain}") for one, domain in (
        ("annlee", "gmail.com"), ("Ann.Lee", "gmail.com"), ("a.n.n.l.e.e+x", "googlemail.com.")
    )}  # fmt: skip
    assert len(google) == 1
    assert digest != keys.digest(ChannelKind.WEBHOOK, "ann@example.org")
    assert digest != ChannelKeys("other").digest(ChannelKind.EMAIL, "ann@example.org")
