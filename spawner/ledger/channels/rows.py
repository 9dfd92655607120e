"""Records of people's own channels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class ChannelKind(StrEnum):
    """How a person is reached."""

    EMAIL = "email"
    WEBHOOK = "webhook"


class MessageEvent(StrEnum):
    """What a message tells of."""

    YOUR_TURN = "your_turn"
    DEADLINE = "deadline"
    IDLE = "idle"
    ENDED = "ended"
    BANNED = "banned"
    PAID = "paid"
    CONFIRM = "confirm"
    TEST = "test"


CHOOSABLE = (
    MessageEvent.YOUR_TURN,
    MessageEvent.DEADLINE,
    MessageEvent.IDLE,
    MessageEvent.ENDED,
    MessageEvent.BANNED,
    MessageEvent.PAID,
)
"""The events that people choose from. The others are sent because somebody asked for that message."""


@dataclass(frozen=True)
class Channel:
    """An address of a person's own. It is used only once it is confirmed."""

    id: str
    person_id: str
    kind: ChannelKind
    address: str
    language: str
    events: list[str]
    made_at: datetime
    code_hash: str | None
    code_expires_at: datetime | None
    confirmed_at: datetime | None = None
    failing_since: datetime | None = None
    detail: str | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether the owner of the address has agreed."""
        return self.confirmed_at is not None


@dataclass(frozen=True)
class Message:
    """One message to one channel. `mark` makes it unique: what happens once is told once."""

    id: str
    channel_id: str
    person_id: str
    event: MessageEvent
    mark: str
    params: dict[str, Any]
    made_at: datetime
    next_try_at: datetime
    tries: int = 0
    sent_at: datetime | None = None
    failed_at: datetime | None = None
    detail: str | None = None
