"""The gate of paid instances: where `/user/NAME/paid-…/` leads, and the only place where a way in is minted.

The proxy sends that route here, and JupyterHub asks here whether the server answers. Neither says who is asking, so
people are sent on to the desk's own address, where its cookie does.
"""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

from jupyterhub import __version__ as hub_version
from tornado.web import HTTPError

from spawner.desk.http import ALONE, Handler
from spawner.desk.paid.http import PaidPartsHandler
from spawner.desk.paid.texts import OUT_OF_REACH
from spawner.errors import LedgerError
from spawner.ledger.paid import bindings, orders
from spawner.ledger.paid.rows import Order
from spawner.paid.accounts.binding import account_of
from spawner.paid.names import SERVER_PREFIX
from spawner.paid.orders import service as order_service
from spawner.paid.orders.progress import STAGE, ending, stage_of

PAID_SERVER = SERVER_PREFIX + "[a-z0-9-]*"
GATE = f"/user/([^/]+)/({PAID_SERVER})(?:/(.*))?"
LOOK_AGAIN_SECONDS = 3
"""Between looks of a page that waits: it has no script, for it shows nothing but this."""


class GateHandler(Handler):
    """GET /user/NAME/paid-…/: nothing is here but a sign to the desk. It tells nothing about anybody's instances."""

    needs_user = False

    def get(self, user: str, server: str, path: str | None) -> None:
        """JupyterHub's question is answered, everybody else is sent on."""
        if path in ("api", "api/", "api/status"):
            self.set_header("Content-Type", "application/json")
            self.set_header("X-JupyterHub-Version", hub_version)
            self.finish(json.dumps({"version": hub_version}))
            return
        whose = urlencode({"of": user})  # Tornado has decoded it
        self.set_header("Referrer-Policy", "no-referrer")
        desk = self.desk.settings.subdomain_host or ""  # people's own hosts have no desk
        self.redirect(f"{desk}{self.desk.base}paid/open/{quote(server)}?{whose}", status=303)

    head = get


class OpenHandler(PaidPartsHandler):
    """GET /paid/open/paid-…: the way into one's own paid instance. `of` is whose it is meant to be."""

    async def get(self, server: str) -> None:
        """303 to a fresh address in the cloud; a page to wait on while there is none."""
        self.set_header("Cross-Origin-Opener-Policy", ALONE)
        if self.hub_auth.get_token(self, in_cookie=False):
            raise HTTPError(404)  # an API token may be somebody else's: only a browser that has signed in comes in
        order = await self.mine(server)
        self.set_header("Referrer-Policy", "no-referrer")
        paid = None if self.parts_or_none is None else self.parts_or_none.paid
        if paid is None or not paid.reaches(order.provider, order.region):
            self.tell(self.say(OUT_OF_REACH))
        elif order_service.is_open(order):
            binding = await self.desk.ledger.aread(bindings.get, order.binding_id)
            provider = paid.providers[order.provider]
            access = await provider.access(account_of(binding, order.region), order.remote_id or "")
            self.redirect(access.url, status=303)
        elif order_service.is_wanted(order):
            self.wait(order)
        else:
            self.tell(self.say(ending(order)))

    async def mine(self, server: str) -> Order:
        """This person's order. 404 for everybody else's, as for what never was."""
        if self.get_query_argument("of", self.user_name) != self.user_name:
            raise HTTPError(404)
        try:
            order = await self.desk.ledger.aread(orders.of_server, self.user_name, server)
        except LedgerError:
            raise HTTPError(503) from None
        if order is None or (order.user_name, order.user_since) != (self.user_name, self.user_since):
            raise HTTPError(404)
        return order

    def wait(self, order: Order) -> None:
        """A page that looks again by itself."""
        self.set_header("Refresh", str(LOOK_AGAIN_SECONDS))
        stage = self.say(STAGE, **stage_of(order)) if order.raw_state else ""
        self.tell(" ".join((self.say("It opens here as soon as it runs, in a few minutes."), stage)).strip())

    def tell(self, text: str) -> None:
        """One sentence, and the way back."""
        self.finish(
            self.render_page(
                "shared/message.html",
                title=self.say("Your paid instance"),
                text=text,
                action_url=self.desk.base,
                action_label=self.say("Go to the desk"),
            )
        )
