"""Base classes of the pages and the API of paid instances. The pages work without a script."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any, TypeVar

from tornado.web import HTTPError

from spawner.desk.context import Desk
from spawner.desk.durations import LOCALES
from spawner.desk.formats import Formats
from spawner.desk.http import Handler
from spawner.desk.paid.context import PaidParts
from spawner.desk.paid.views import ConsentView, consent_view
from spawner.errors import NotAllowed, NotOffered
from spawner.ledger.paid import bindings, consents, orders
from spawner.ledger.paid.rows import Binding, Consent, Order
from spawner.ledger.people.bans import refusal_of
from spawner.paid.orders.service import answer_token as token_of_answer
from spawner.paid.paid import Paid

T = TypeVar("T")
Row = TypeVar("Row", Binding, Consent, Order)
DSW = "dsw"
"""The provider whose console and bill have URLs in the settings (`RoleGuide`)."""
PAID_OFF = (
    "Paid notebooks are turned off: notebooks share this site's address, so a page in one could "
    "incur charges in your name."
)
GIVE_HOSTS = "Administrators: give notebooks their own host names, or set trust_notebooks (see docs/security.md)."
NOT_HERE = "Paid notebooks are not available here."
SIGN_IN = "You must be signed in with a browser to do this."
ON_THE_PAGE = "Open the home page in your browser and do it there."
GO_YOURSELF = "This page can only be opened directly, in an up-to-date browser."


class PaidPartsHandler(Handler):
    """Base of handlers that also answer where no paid instances are offered."""

    parts_or_none: PaidParts | None

    def initialize(self, desk: Desk, parts: PaidParts | None) -> None:
        """Called by Tornado with the keyword arguments of the route."""
        super().initialize(desk)
        self.parts_or_none = parts


class PaidHandler(PaidPartsHandler):
    """Base of pages and API. A user reaches only their own rows; those of others are 404."""

    async def prepare(self) -> None:
        """Raises `NotOffered` where no paid instances are offered, `NotAllowed` where a notebook could use the page."""
        await super().prepare()
        if self.parts_or_none is None:
            raise NotOffered(NOT_HERE)
        self.require_guarded_pages(NotAllowed(PAID_OFF, next_step=GIVE_HOSTS))

    @property
    def parts(self) -> PaidParts:
        """What the handlers of paid instances share."""
        assert self.parts_or_none is not None  # `prepare` checked it
        return self.parts_or_none

    @property
    def paid(self) -> Paid:
        """Settings, providers and the clock of paid instances."""
        return self.parts.paid

    def require_browser(self) -> None:
        """Raises `NotAllowed` for an API token: only a signed-in browser may consent to being billed."""
        if self.hub_auth.get_token(self, in_cookie=False):
            raise NotAllowed(SIGN_IN, next_step=ON_THE_PAGE)

    @property
    def session_mark(self) -> str:
        """A hash of this browser session."""
        named = f"{self.hub_auth.get_session_id(self)}\0{self.hub_auth.get_token(self)}"
        key = self.desk.settings.secret("desk")
        return hmac.new(key.encode(), f"freepool paid session v1\0{named}".encode(), hashlib.sha256).hexdigest()

    def answer_token(self, consent_id: str) -> str:
        """A one-time token that only the page of this consent holds. Its form sends it along with the user's answer."""
        return token_of_answer(self.desk.settings.secret("desk"), consent_id)

    async def read(self, query: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a query of the ledger in a thread."""
        return await self.desk.ledger.aread(query, *args, **kwargs)

    async def own_binding(self, binding_id: str) -> Binding:
        """The user's binding; 404 for others and for unlinked ones."""
        known = {binding.id: binding for binding in await self.read(bindings.of_person, self.person_id)}
        return self._own(known.get(binding_id))

    async def own_consent(self, consent_id: str) -> Consent:
        """The user's consent; 404 for others."""
        return self._own(await self.read(consents.find, consent_id))

    async def own_order(self, order_id: str) -> Order:
        """The user's order; 404 for others."""
        return self._own(await self.read(orders.find, order_id))

    def _own(self, row: Row | None) -> Row:
        """404 for rows of other people."""
        if row is None or row.person_id != self.person_id:
            raise HTTPError(404)
        return row

    def title(self, provider: str) -> str:
        """The cloud's name in the user's language; its id where it is not in the settings any more."""
        known = self.paid.providers.get(provider)
        return provider if known is None else self.say(known.title)

    def is_on(self, provider: str, region: str = "") -> bool:
        """Whether a cloud, or a region of it, is in the settings."""
        regions = self.paid.regions.get(provider, ())
        return provider in self.paid.providers and bool(regions) and (not region or region in regions)

    def consent_view(self, consent: Consent) -> ConsentView:
        """The consent as the user sees and downloads it."""
        return consent_view(consent, self.language_texts, self.title(consent.provider), demo=self.desk.settings.is_demo)

    def regions_of(self, binding: Binding) -> list[str]:
        """The regions in which instances can be created with this binding."""
        known = self.paid.regions.get(binding.provider, ())
        return [region for region in known if not binding.workspaces or region in binding.workspaces]

    def console(self, provider: str, account: str, region: str = "") -> str:
        """URL of the cloud's list of instances; empty where the settings have none."""
        guide = self.parts.role_guide
        return guide.console(account, region) if guide is not None and provider == DSW else ""

    def bill(self, provider: str, account: str) -> str:
        """URL of the cloud's bill; empty where the settings have none."""
        guide = self.parts.role_guide
        return guide.bill(account) if guide is not None and provider == DSW else ""


class PaidPage(PaidHandler):
    """Base of the pages. Every change is a form's POST, answered with a page or a redirect.

    A page is sent only to a browser that navigates to it: not to an API token, and not to a script. `is_live`: the
    page's own script may fetch it again. `is_file`: it is a download, for which browsers send no `document`.
    """

    is_live = False
    is_file = False

    async def prepare(self) -> None:
        """Raises `NotAllowed` for other requests."""
        await super().prepare()
        if self._finished or self.current_user is None:
            return
        self.require_browser()
        is_refresh = self.request.method == "GET" and self.is_live and self.is_our_script
        is_download = self.is_file and self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if not (self.is_navigation or is_refresh or is_download):
            raise NotAllowed(GO_YOURSELF, next_step=ON_THE_PAGE)

    @property
    def here(self) -> str:
        """The URL to return to: a URL that takes only a POST is replaced by the one above it."""
        return re.sub(r"/(accept|start|withdraw|link)$", "", self.request.uri or self.desk.base)

    def show(self, template: str, *, status: int = 200, **context: Any) -> None:
        """Send a page."""
        self.set_status(status)
        self.finish(
            self.render_page(
                template,
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                formats=Formats(LOCALES[self.language_texts.language], self.zone),
                ban=self.ban and self.text_of(refusal_of(self.ban)),
                **context,
            )
        )

    def tell(self, title: str, text: str, *, url: str = "", label: str = "", status: int = 200) -> None:
        """Send a page with one message and a link."""
        self.show(
            "shared/message.html",
            status=status,
            title=title,
            text=text,
            action_url=url or f"{self.desk.base}paid",
            action_label=label or self.say("Continue"),
        )

    def go(self, path: str) -> None:
        """Redirect to another page of the desk."""
        self.redirect(f"{self.desk.base}{path}", status=303)
