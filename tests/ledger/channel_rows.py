"""Channels in a ledger, for tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from spawner.channels import requests
from spawner.channels.keys import ChannelKeys, code_hash
from spawner.ledger import Ledger
from spawner.ledger.channels import channels
from spawner.ledger.channels.rows import CHOOSABLE, Channel, ChannelKind
from spawner.pool.build import new_id
from tests.ledger.rows import NOW

KEYS = ChannelKeys("secret")


def wanted(person: str = "ann", address: str = "ann@example.org", **changes: Any) -> requests.Wanted:
    kind = ChannelKind.WEBHOOK if address.startswith("https:") else ChannelKind.EMAIL
    return requests.Wanted(**{
        "person_id": person, "kind": kind, "address": address, "language": "en", "events": CHOOSABLE
    } | changes)  # fmt: skip


def enter(
    ledger: Ledger, person: str = "ann", address: str = "ann@example.org", *, now: datetime = NOW, **changes: Any
) -> Channel:
    """A channel that waits for its code."""
    return ledger.write(requests.enter, wanted(person, address, **changes), KEYS, now=now, new_id=new_id)


def confirmed(
    ledger: Ledger, person: str = "ann", address: str = "ann@example.org", *, now: datetime = NOW, **changes: Any
) -> Channel:
    """A channel that is in use."""
    made = enter(ledger, person, address, now=now, **changes)
    assert ledger.write(channels.confirm, made.id, code_hash(KEYS.code(made)), now=now)
    found = ledger.read(channels.find, made.id)
    assert found is not None
    return found
