"""The page of invitations: /hub/invitation. A link to it is a page; only its POST takes the code.

The code is kept in a cookie while its owner logs in at the provider, and is used up when it admits a new account.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from tornado.web import HTTPError

from spawner.client_address import network_of
from spawner.hub.invitation_cookie import keep_code
from spawner.hub.invitation_texts import TOO_MANY, sentence
from spawner.hub.login.links import LinkAuthenticator
from spawner.hub.login.pages import QuietHandler, both
from spawner.hub.newcomers import address_of
from spawner.hub.people import hub_people
from spawner.ledger.people import invitations
from spawner.ledger.people.newcomers import Refused, problem_of

log = logging.getLogger("freepool.login")
MOST_GUESSES = 10
GUESS_SECONDS = 600.0
MOST_ADDRESSES = 10_000


class GuessLimit:
    """Counts wrong codes by client address (of IPv6: by /64 network), in this hub's memory."""

    def __init__(
        self,
        most: int = MOST_GUESSES,
        seconds: float = GUESS_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._guesses: dict[str, tuple[int, float]] = {}
        """Count, and when it begins anew."""

    def wait(self, address: str) -> float:
        """Seconds until this address may send a code; 0 for now."""
        count, until = self._guesses.get(network_of(address), (0, 0.0))
        left = until - self._clock()
        return left if left > 0 and count >= self._most else 0.0

    def note(self, address: str) -> None:
        """This address has sent a code that is not known."""
        client, now = network_of(address), self._clock()
        if client not in self._guesses and len(self._guesses) >= MOST_ADDRESSES:
            self._guesses = {one: (count, until) for one, (count, until) in self._guesses.items() if until > now}
            if len(self._guesses) >= MOST_ADDRESSES:
                del self._guesses[next(iter(self._guesses))]
        count, until = self._guesses.get(client, (0, 0.0))
        self._guesses[client] = (count + 1, until) if until > now else (1, now + self._seconds)


class InvitationHandler(QuietHandler):
    """GET and POST /hub/invitation"""

    has_language_links = True

    def initialize(self, guesses: GuessLimit) -> None:
        """Called by Tornado with the keyword arguments of the route."""
        self.guesses = guesses

    async def prepare(self) -> None:
        """404 where people log in by links, which need no invitation."""
        await super().prepare()
        if isinstance(self.authenticator, LinkAuthenticator) and not self._finished:
            raise HTTPError(404)

    async def get(self) -> None:
        """The page. A code in its address is filled in, and nothing else is done with it."""
        self.show(code=self.get_argument("code", "")[:200])

    async def post(self) -> None:
        """Keep the code in a cookie, and go to the login; or say why it is not good."""
        people = hub_people(self.settings)
        address = address_of(self, people.settings)
        wait = self.guesses.wait(address)
        if wait > 0:
            self.set_header("Retry-After", str(int(wait) + 1))
            self.show(problem=both(*TOO_MANY, minutes=str(int(wait // 60) + 1)), status=429)
            return
        code = invitations.read_code(self.get_argument("code", ""))
        problem: Refused | None = Refused.UNKNOWN_CODE
        if code is not None:
            found = await people.ledger.aread(invitations.by_hash, invitations.hash_of(code))
            problem = problem_of(found, people.now())
        if code is None or problem is not None:
            if problem is Refused.UNKNOWN_CODE:
                self.guesses.note(address)
            log.warning("an invitation was refused: %s (%s)", problem, address)
            self.show(problem=sentence(problem or Refused.UNKNOWN_CODE), status=403)
            return
        keep_code(self, people.settings, code)
        self.redirect(self.authenticator.login_url(self.hub.base_url))

    def show(self, *, code: str = "", problem: str = "", status: int = 200) -> None:
        """Write the page, in both languages, as all pages of the hub's are."""
        self.set_status(status)
        user = self.current_user
        html = self.render_template(
            "invitation.html",
            sync=True,
            code=code,
            problem=problem,
            is_known=user is not None,
            desk=self.settings["default_url"],
            xsrf=self.xsrf_token.decode("ascii"),
        )
        self.finish(html)


def handlers() -> list[tuple[Any, ...]]:
    """The page's route, for one hub."""
    return [("/invitation", InvitationHandler, {"guesses": GuessLimit()})]
