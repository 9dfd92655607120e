"""Which addresses messages may be sent to. A webhook's network address is checked where it is connected to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from spawner.channel_settings import ChannelSettings, is_mail_address
from spawner.errors import BadOption
from spawner.ledger.channels.rows import ChannelKind

LONGEST_URL = 2048
TRANSLATED = ip_network("64:ff9b::/96")
"""NAT64: the last four bytes are an IPv4 address (RFC 6052)."""


def checked(kind: ChannelKind, text: str, settings: ChannelSettings) -> str:
    """The address as it is kept. Raises `BadOption`."""
    if kind is ChannelKind.EMAIL:
        if settings.mail is None:
            raise BadOption("This platform sends no mail.", next_step="Choose another way.")
        if not is_mail_address(text):
            raise BadOption("This is not a mail address.", next_step="Enter one like name@example.org.")
        return text
    if not settings.webhooks:
        raise BadOption("This platform calls no webhooks.", next_step="Choose another way.")
    return _webhook(text, settings)


def _webhook(text: str, settings: ChannelSettings) -> str:
    try:
        url = urlsplit(text)
        host = (url.hostname or "").rstrip(".")
        is_plain = url.username is None and url.password is None and url.port != 0
    except ValueError:
        host, is_plain = "", False
        url = urlsplit("")
    fits = len(text) <= LONGEST_URL and text.isascii() and text.isprintable() and " " not in text
    if not (fits and is_plain and host and url.scheme == "https" and not url.fragment):
        raise BadOption(
            "This is not an address for a webhook.",
            next_step="Enter one that begins with https://, without user name and password.",
        )
    if not settings.allows_host(host):
        raise BadOption(
            "The administrator does not allow webhooks to this host.",
            next_step="Allowed hosts: {hosts}.",
            hosts=", ".join(settings.webhook_hosts[:10]),
        )
    if not settings.private_addresses and _is_private_literal(host):
        raise BadOption("The address is in a private network.", next_step="Enter an address on the internet.")
    return text


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name: its addresses are checked when it is connected to


def is_public(address: str) -> bool:
    """Whether an IP address is reached over the internet. Raises `ValueError` for what is no address.

    Addresses that carry an IPv4 address (mapped, 6to4, Teredo, NAT64) count as that one, too.
    """
    found = ip_address(address.partition("%")[0])
    return all(one.is_global and not one.is_multicast for one in (found, *_within(found)))


def _within(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in TRANSLATED or int(address) >> 32 == 0:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]
