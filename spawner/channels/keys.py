"""What derives from the secret `channels`: codes, links' keys, webhooks' secrets, and hashes of addresses.

Nothing of it is in the database, so a copy of the database confirms no address and signs no message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta

from spawner.ledger.channels.rows import Channel, ChannelKind

SECRET = "channels"  # noqa: S105
"""Name of the secret."""
CODE_BYTES = 16
CODE_LIFETIME = timedelta(hours=24)
GOOGLE = ("gmail.com", "googlemail.com")


class ChannelKeys:
    """The values that derive from one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def code(self, channel: Channel) -> str:
        """The code with which the owner of an address confirms it: 128 bits, another one for each expiry."""
        assert channel.code_expires_at is not None
        return self._derive("confirm", channel.id, channel.code_expires_at.isoformat())[:CODE_BYTES].hex()

    def unsubscribe_key(self, channel_id: str) -> str:
        """The key in the link that removes a channel."""
        return self._derive("unsubscribe", channel_id)[:CODE_BYTES].hex()

    def is_unsubscribe_key(self, channel_id: str, given: str) -> bool:
        """Whether this is that key."""
        return hmac.compare_digest(self.unsubscribe_key(channel_id).encode(), given.encode())

    def webhook_secret(self, channel_id: str) -> str:
        """The secret with which messages to a webhook are signed, as Standard Webhooks writes it."""
        return f"whsec_{base64.b64encode(self._derive('webhook', channel_id)).decode()}"

    def signature(self, channel_id: str, message_id: str, timestamp: int, body: bytes) -> str:
        """The header `webhook-signature` of Standard Webhooks."""
        content = f"{message_id}.{timestamp}.".encode() + body
        digest = hmac.digest(self._derive("webhook", channel_id), content, "sha256")
        return f"v1,{base64.b64encode(digest).decode()}"

    def digest(self, kind: ChannelKind, address: str) -> str:
        """A keyed hash of an address, by which requests for it are counted and blocked."""
        return self._derive("address", kind.value, _normalized(kind, address)).hex()

    def _derive(self, *parts: str) -> bytes:
        return hmac.digest(self._secret, "\0".join(parts).encode(), "sha256")


def code_hash(code: str) -> str:
    """What the ledger keeps of a code."""
    return hashlib.sha256(code.encode()).hexdigest()


def _normalized(kind: ChannelKind, address: str) -> str:
    """One text for the addresses that end in one mailbox: `Ann+a@example.org` is `ann@example.org`.

    Google's mail ignores dots, too, so one mailbox has thousands of addresses.
    """
    if kind is not ChannelKind.EMAIL:
        return address
    local, _, domain = address.lower().rpartition("@")
    local, domain = local.partition("+")[0], domain.rstrip(".")
    return f"{local.replace('.', '')}@gmail.com" if domain in GOOGLE else f"{local}@{domain}"
