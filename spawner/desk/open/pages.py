"""The page of an open link, and the page that waits until it is open. A GET reads the address, and fetches nothing."""

from __future__ import annotations

import asyncio

from tornado.httputil import url_concat

from spawner.desk.common import use_asked_language
from spawner.desk.open import cookie
from spawner.desk.open.describe import choices, describe
from spawner.desk.open.http import LinkHandler
from spawner.desk.requests import form_fields, query_fields
from spawner.desk.user.instance import StartHandler
from spawner.desk.user.landing import keep_next, link_command_of, may_be_signed_in, read_offer
from spawner.desk.user.views import State
from spawner.i18n import LANGUAGE_NAMES
from spawner.ledger import Ticket
from spawner.links.look import Seen, look
from spawner.links.target import Kind, Target
from spawner.login_settings import LoginKind
from spawner.pool.options import choose, ticket_options
from spawner.pool.queue.admission import SpawnRequest
from spawner.pool.queue.responses import not_offered


class OpenPage(LinkHandler, StartHandler):
    """GET and POST /open"""

    wants_json = False

    async def get(self) -> None:
        """What the address says, and the machine types that serve."""
        target = self.read(query_fields(self))
        self._show(target, await self.state())

    async def ask_to_sign_in(self) -> None:
        """The same page without machine types, unless the hub may know this browser."""
        target = self.read(query_fields(self))
        here = self.page_of(target)
        keep_next(self, here)
        if may_be_signed_in(self):
            await super().ask_to_sign_in()
            return
        use_asked_language(self)
        offer = await read_offer(self)
        self.finish(
            self.render_page(
                "open/open.html",
                what=describe(target, self.example_in(target, offer["examples"]), self.language_texts),
                state={"user": None},
                is_stranger=True,
                by_link=self.desk.settings.login.kind is LoginKind.LINKS and self.desk.settings.desk_socket is not None,
                link_command=link_command_of(self.desk.settings),
                sign_in=f"{self.desk.base}open/sign-in?{target.query}",
                languages=[(tag, name, url_concat(here, {"language": tag})) for tag, name in LANGUAGE_NAMES.items()],
                target=target,
            )
        )

    def _show(self, target: Target, state: State, seen: Seen | None = None) -> None:
        texts, image = self.language_texts, self.image_of(target)
        example = self.example_in(target, state.examples)
        instance = state.instance
        flavors = [flavor for flavor in state.flavors if flavor.for_you and flavor.remedy is None]
        self.finish(
            self.render_page(
                "open/open.html",
                what=describe(target, example, texts, seen),
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                is_stranger=False,
                can_look=seen is None and example is None,
                target=target,
                blocked=example.reason if example is not None and not example.available else None,
                in_queue=state.ticket is not None and instance is None,
                running=instance is not None,
                fits=instance is not None and image in (None, instance.image) and instance.state != "stopping",
                flavors=choices(flavors, example, state.defaults.flavor, texts),
            )
        )

    async def post(self) -> None:
        """Keep the target. Start a notebook where there is none. The waiting page opens the target in it."""
        fields = form_fields(self)
        target = self.read(fields)
        state = await self.state()
        self.example_in(target, state.examples)
        cookie.keep(self, target)
        if state.instance is None and state.ticket is None:
            await self._start(target, fields.get("flavor", ""))
        self.redirect(f"{self.desk.base}open/wait", status=303)

    async def _start(self, target: Target, flavor: str) -> None:
        """Raises `BadOption`, and what admission raises."""
        example = target.example if target.kind is Kind.EXAMPLE else None
        choice = choose(self.desk.catalog, {"flavor": flavor, "example": example})
        why_not = self.desk.backend.why_not(choice.flavor, choice.image)
        if why_not is not None:
            raise not_offered(why_not)
        request = SpawnRequest(self.person_id, self.user_name, "", choice)
        admitted = await self.desk.ledger.awrite(self.admit, request)
        if isinstance(admitted, Ticket):
            self.desk.starts.start(
                self.desk.hub.start(self.user_name, self.hub_auth.get_token(self), ticket_options(admitted)),
                subject=f"start of user {self.user_name}",
            )


class LookPage(OpenPage):
    """POST /open/look"""

    async def get(self) -> None:
        """A reloaded address: the page without what was looked up."""
        self.redirect(self.page_of(self.read(query_fields(self))))

    async def post(self) -> None:
        """The page, with the commit or the size that the link's server says now."""
        target = self.read(form_fields(self))
        links = self.desk.settings.links
        certificates = await asyncio.to_thread(links.certificates_for, target.host)
        seen = await look(target, is_allowed=target.host in links.also_allow, certificates=certificates)
        self._show(target, await self.state(), seen)


class SignInPage(LinkHandler):
    """GET /open/sign-in: asks for a login, and then leads to the link's page"""

    wants_json = False
    serves_banned = True

    async def get(self) -> None:
        """With the query of this page."""
        self.redirect(self.page_of(self.read(query_fields(self))))


class WaitPage(LinkHandler):
    """GET /open/wait"""

    wants_json = False

    async def ask_to_sign_in(self) -> None:
        """A login leads back here, also one by link."""
        keep_next(self, f"{self.desk.base}open/wait")
        await super().ask_to_sign_in()

    async def get(self) -> None:
        """Its script opens the target when the notebook runs. Without a target, the home page."""
        target = cookie.kept(self)
        if target is None:
            self.redirect(self.desk.base)
            return
        examples = (await self.state()).examples
        self.finish(
            self.render_page(
                "open/wait.html",
                what=describe(target, self.example_in(target, examples), self.language_texts),
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                page=self.page_of(target),
            )
        )
