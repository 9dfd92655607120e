"""Notifies the administrator's webhook that a ticket's turn has come, so that it can send a mail or a chat message.

The POST has JSON: `event` is `ready` (the instance runs) or `held` (a slot is held until `hold_until`, beside a running
instance), with `user`, `server`, `flavor`, `image`, `ticket` and the desk's `url`. A status below 300 means accepted;
anything else is retried for a while. A notification may arrive twice: `ticket` and `event` identify it.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import aiohttp

from spawner.ledger import Ticket, TicketState

log = logging.getLogger("freepool.steward")
TIMEOUT_SECONDS = 10
MAX_AGE = timedelta(hours=1)
"""Notifications older than this are dropped."""
DESK_PATH = "services/desk/"


class Webhook:
    """One webhook URL. `public_url` is the platform's, with a slash at its end."""

    def __init__(self, session: aiohttp.ClientSession, url: str, public_url: str) -> None:
        self._session = session
        self._url = url
        self._desk = public_url + DESK_PATH

    async def tell(self, ticket: Ticket) -> bool:
        """Post the notification. False where it was not accepted."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with self._session.post(self._url, json=self.news(ticket), timeout=timeout) as answer:
                if answer.status < 300:
                    return True
                log.warning(
                    "the webhook did not accept the notification of ticket %s: status %d", ticket.id, answer.status
                )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            log.warning(
                "the webhook did not accept the notification of ticket %s: %s", ticket.id, error or type(error).__name__
            )
        return False

    def news(self, ticket: Ticket) -> dict[str, Any]:
        """The JSON of a notification."""
        is_ready = ticket.state is TicketState.SERVED
        return {
            "event": "ready" if is_ready else "held",
            "user": ticket.user_name,
            "server": ticket.server_name,
            "flavor": ticket.flavor,
            "image": ticket.image,
            "ticket": ticket.id,
            "hold_until": ticket.hold_until.isoformat() if ticket.hold_until else None,
            "url": self._desk,
        }
