"""Handlers of `/user/NAME/paid-…/`, and of the page that opens a paid instance.

The proxy routes `/user/NAME/paid-…/` to the desk, and JupyterHub polls the server there. The desk's cookie is not sent
to that path, so users are redirected to a URL below the desk's own, where they can be identified.
"""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

from jupyterhub import __version__ as hub_version
from tornado.web import HTTPError

from spawner.desk.http import Handler
from spawner.desk.paid.http import GIVE_HOSTS, PAID_OFF, PaidPartsHandler
from spawner.desk.paid.texts import OUT_OF_REACH, cloud_state
from spawner.errors import LedgerError, NotAllowed
from spawner.ledger.paid import bindings, orders
from spawner.ledger.paid.rows import Order
from spawner.paid.accounts.binding import account_of
from spawner.paid.names import SERVER_PREFIX
from spawner.paid.orders import service as order_service
from spawner.paid.orders.progress import STAGE, ending

PAID_SERVER = SERVER_PREFIX + "[a-z0-9-]*"
GATE = f"/user/([^/]+)/({PAID_SERVER})(?:/(.*))?"
RELOAD_SECONDS = 3
"""Interval at which the waiting page reloads itself. It has no script."""


class GateHandler(Handler):
    """GET /user/NAME/paid-…/: redirects to the desk. The answer does not depend on whether the instance exists."""

    needs_user = False
    serves_user_hosts = True

    def get(self, user: str, server: str, path: str | None) -> None:
        """Answer JupyterHub's poll; redirect everything else."""
        if path in ("api", "api/", "api/status"):
            self.set_header("Content-Type", "application/json")
            self.set_header("X-JupyterHub-Version", hub_version)
            self.finish(json.dumps({"version": hub_version}))
            return
        whose = urlencode({"of": user})  # Tornado has unquoted it
        self.set_header("Referrer-Policy", "no-referrer")
        desk = self.desk.settings.subdomain_host or ""  # users' subdomains have no desk
        self.redirect(f"{desk}{self.desk.base}paid/open/{quote(server)}?{whose}", status=303)

    head = get


class OpenHandler(PaidPartsHandler):
    """GET /paid/open/paid-…: opens the user's paid instance. `of` is the user name of the URL that redirected here."""

    async def get(self, server: str) -> None:
        """Redirect to a new URL of the instance in the cloud, or send a page that waits until it runs."""
        if self.hub_auth.get_token(self, in_cookie=False):
            raise HTTPError(404)  # only a signed-in browser may open it, not an API token
        self.require_guarded_pages(NotAllowed(PAID_OFF, next_step=GIVE_HOSTS))
        order = await self.own_order(server)
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

    async def own_order(self, server: str) -> Order:
        """The user's order; 404 for others."""
        if self.get_query_argument("of", self.user_name) != self.user_name:
            raise HTTPError(404)
        try:
            order = await self.desk.ledger.aread(orders.of_server, self.person_id, server)
        except LedgerError:
            raise HTTPError(503) from None
        if order is None:
            raise HTTPError(404)
        return order

    def wait(self, order: Order) -> None:
        """Send a page that reloads itself."""
        self.set_header("Refresh", str(RELOAD_SECONDS))
        stage = self.say(STAGE, stage=cloud_state(order.raw_state, self.language_texts)) if order.raw_state else ""
        self.tell(" ".join((self.say("It opens here when it is running, usually in a few minutes."), stage)).strip())

    def tell(self, text: str) -> None:
        """Send a page with one sentence and a link to the desk."""
        self.finish(
            self.render_page(
                "shared/message.html",
                title=self.say("Your paid notebook"),
                text=text,
                action_url=self.desk.base,
                action_label=self.say("Go to home page"),
            )
        )
