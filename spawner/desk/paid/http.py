"""What the pages of the paid path share: they are whole without a script, and nobody's but their person's."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any, TypeVar

from tornado.web import HTTPError

from spawner.desk.context import Desk
from spawner.desk.http import ALONE, Handler
from spawner.desk.paid.context import PaidParts
from spawner.desk.paid.texts import FORMATS
from spawner.desk.paid.views import ConsentView, consent_view
from spawner.errors import FreepoolError, NotAllowed, NotOffered
from spawner.ledger.paid import bindings, consents, orders
from spawner.ledger.paid.rows import Binding, Consent, Order
from spawner.paid.orders.service import answer_token
from spawner.paid.paid import Paid

T = TypeVar("T")
Row = TypeVar("Row", Binding, Consent, Order)
DSW = "dsw"
"""The cloud whose own pages we know by address: `RoleGuide` has them from its settings."""
NOT_HERE = "Paid instances are not offered here."
SIGN_IN = "Only somebody who has signed in with a browser can do this."
ON_THE_PAGE = "Open the desk in your browser, and do it there."
GO_YOURSELF = "This page opens only when you go to it yourself, in an up-to-date browser."


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
        """Raises `NotOffered` where no paid instances are offered."""
        await super().prepare()
        if self.parts_or_none is None:
            raise NotOffered(NOT_HERE)

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
        """A yes to being billed is a person's, in a browser: a token may be in anybody's hands."""
        if self.hub_auth.get_token(self, in_cookie=False):
            raise NotAllowed(SIGN_IN, next_step=ON_THE_PAGE)

    @property
    def session_mark(self) -> str:
        """Marks this session without naming it."""
        named = f"{self.hub_auth.get_session_id(self)}\0{self.hub_auth.get_token(self)}"
        key = self.desk.settings.secret("desk")
        return hmac.new(key.encode(), f"freepool paid session v1\0{named}".encode(), hashlib.sha256).hexdigest()

    def answer_word(self, consent_id: str) -> str:
        """What the page with this question sends along with the yes. No other page, and no API, ever says it."""
        return answer_token(self.desk.settings.secret("desk"), consent_id)

    def words_of(self, error: FreepoolError) -> str:
        """What went wrong, and what to do next."""
        return self.language_texts.together(
            self.say(error.template, **error.params), self.say(error.next_template) if error.next_template else ""
        )

    async def read(self, query: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """One look at the ledger."""
        return await self.desk.ledger.aread(query, *args, **kwargs)

    async def my_binding(self, binding_id: str) -> Binding:
        """Theirs, unless it is history."""
        mine = {binding.id: binding for binding in await self.read(bindings.of_user, self.user_name)}
        return self._own(mine.get(binding_id))

    async def my_consent(self, consent_id: str) -> Consent:
        """Theirs."""
        return self._own(await self.read(consents.find, consent_id))

    async def my_order(self, order_id: str) -> Order:
        """Theirs."""
        return self._own(await self.read(orders.find, order_id))

    def _own(self, found: Row | None) -> Row:
        """404 for everybody else's, and for what somebody of the same name had before."""
        if found is None or (found.user_name, found.user_since) != (self.user_name, self.user_since):
            raise HTTPError(404)
        return found

    def title(self, provider: str) -> str:
        """A cloud's name, in the reader's language; its id where it is switched off."""
        known = self.paid.providers.get(provider)
        return provider if known is None else self.say(known.title)

    def is_on(self, provider: str, region: str = "") -> bool:
        """Whether a cloud, and a region of it, is offered here now. What was done there before is shown anyhow."""
        regions = self.paid.regions.get(provider, ())
        return provider in self.paid.providers and bool(regions) and (not region or region in regions)

    def consent_view(self, consent: Consent) -> ConsentView:
        """As its person sees and downloads it."""
        return consent_view(consent, self.language_texts, self.title(consent.provider), demo=self.desk.settings.is_demo)

    def regions_of(self, binding: Binding) -> list[str]:
        """Where something may be made under it."""
        known = self.paid.regions.get(binding.provider, ())
        return [region for region in known if not binding.workspaces or region in binding.workspaces]

    def console(self, provider: str, account: str, region: str = "") -> str:
        """The cloud's own page about what runs there; empty where we know none."""
        guide = self.parts.role_guide
        return guide.console(account, region) if guide is not None and provider == DSW else ""

    def bill(self, provider: str, account: str) -> str:
        """The cloud's own page about the bill; empty where we know none."""
        guide = self.parts.role_guide
        return guide.bill(account) if guide is not None and provider == DSW else ""


class PaidPage(PaidHandler):
    """Base of the pages. Every change is a form's POST that is answered with a page, or with the way to one.

    Only a person who goes there in a browser gets one: no token, whoever's, and no script that fetches it. `is_live`:
    the page's own script looks again. `is_file`: it is saved and not shown, which browsers do not call a document.
    """

    is_live = False
    is_file = False

    async def prepare(self) -> None:
        """Refuse everything else."""
        await super().prepare()
        self.set_header("Cross-Origin-Opener-Policy", ALONE)
        if self._finished or self.current_user is None:
            return
        self.require_browser()
        is_look = self.request.method == "GET" and self.is_live and self.is_our_script
        is_saved = self.is_file and self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if not (self.is_navigation or is_look or is_saved):
            raise NotAllowed(GO_YOURSELF, next_step=ON_THE_PAGE)

    @property
    def here(self) -> str:
        """A page that answers a form is not there to come back to; the one above it is."""
        return re.sub(r"/(accept|start|withdraw|link)$", "", self.request.uri or self.desk.base)

    def show(self, template: str, *, status: int = 200, **context: Any) -> None:
        """Answer with a page."""
        self.set_status(status)
        self.finish(
            self.render_page(
                template,
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                formats=FORMATS[self.language_texts.language],
                **context,
            )
        )

    def tell(self, title: str, text: str, *, url: str = "", label: str = "", status: int = 200) -> None:
        """Answer with one message."""
        self.show(
            "shared/message.html",
            status=status,
            title=title,
            text=text,
            action_url=url or f"{self.desk.base}paid",
            action_label=label or self.say("Go on"),
        )

    def go(self, path: str) -> None:
        """To another page below the desk."""
        self.redirect(f"{self.desk.base}{path}", status=303)

    def sentences(self, found: Any) -> list[str]:
        """Templates with their parameters, in the reader's language."""
        return [self.say(template, **params) for template, params in found]
