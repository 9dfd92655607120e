"""Tells the operator's hook that somebody's turn has come. It may send a mail, or a message in a chat.

The POST has JSON: `event` is `ready` (the instance runs) or `held` (it is kept beside the one that runs already, until
`hold_until`), with `user`, `server`, `flavor`, `image`, `ticket` and the desk's `url`. An answer below 300 means that
it was taken; anything else is tried again, for a while. A hook may hear the same twice: `ticket` and `event` tell.
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
"""News that could not be told for so long is none any more."""
DESK_PATH = "services/desk/"


class Webhook:
    """One URL. `public_url` is where people find the platform, with a slash at its end."""

    def __init__(self, session: aiohttp.ClientSession, url: str, public_url: str) -> None:
        self._session = session
        self._url = url
        self._desk = public_url + DESK_PATH

    async def tell(self, ticket: Ticket) -> bool:
        """Post the news; False where it was not taken."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with self._session.post(self._url, json=self.news(ticket), timeout=timeout) as answer:
                if answer.status < 300:
                    return True
                log.warning("the hook did not take the news of ticket %s: status %d", ticket.id, answer.status)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            log.warning("the hook did not take the news of ticket %s: %s", ticket.id, error or type(error).__name__)
        return False

    def news(self, ticket: Ticket) -> dict[str, Any]:
        """What is posted."""
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
