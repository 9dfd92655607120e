"""The administrator's pages and API of users: search, bans, export, forgetting. They work without a script."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel
from tornado.web import HTTPError

from spawner import __version__
from spawner.desk.admin.allowance_view import GRANT_WEEKS, read_person
from spawner.desk.admin.commands import parse_command
from spawner.desk.admin.pages import AdminHandler
from spawner.desk.admin.people_views import (
    BanView,
    ForgetView,
    PaidRunView,
    PeopleView,
    PersonSummary,
    PersonView,
    run_view,
    summary,
)
from spawner.desk.admin.run_words import ENDS, PAID_STATES, STATES
from spawner.desk.admin.titles import flavor_titles, image_titles
from spawner.desk.allowances import SOURCES as GRANTED
from spawner.desk.allowances import UNLIMITED, amount
from spawner.desk.http import JsonHandler
from spawner.desk.requests import form_fields
from spawner.errors import BadOption, NotAllowed
from spawner.ledger.people import bans, forgetting, records, terms
from spawner.ledger.people.personal_data import export, json_default
from spawner.ledger.people.records import PersonRecord
from spawner.ledger.people.rows import Ban, BanCode, GroupSource
from spawner.pool.admin import people as commands
from spawner.pool.admin.commands import EmptyCommand, read
from spawner.pool.admin.people import BanChange, forget_texts
from spawner.pool.build import new_id, utc_now

log = logging.getLogger("freepool.desk")
Model = TypeVar("Model", bound=BaseModel)
LARGEST_BODY = 32 * 1024
"""Bytes of a request: evidence and note are texts."""
CODES: dict[BanCode, str] = {
    BanCode.MINING: "Mining",
    BanCode.ATTACK: "Attacks on others",
    BanCode.SPAM: "Spam",
    BanCode.EVASION: "Evades a ban",
    BanCode.OTHER: "Another reason",
}
SOURCES: dict[GroupSource, str] = {
    GroupSource.LOGIN: "From the login",
    GroupSource.HUB: "From JupyterHub",
    GroupSource.ADMINISTRATOR: "From an administrator",
}
TRUST = {"new": "New", "known": "Known", "trusted": "Trusted"}
DAYS = ("1", "7", "30", "365")
FOR_GOOD = "for-good"
NOT_YOURSELF = "You cannot ban yourself here."
ASK_ANOTHER = "Another administrator can, or the command freepool ban."


class PeopleHandler(AdminHandler):
    """Base of them all."""

    async def person_record(self, person_id: str) -> PersonRecord:
        """404 where there is no such person."""
        found = await self.desk.ledger.aread(records.record_of, person_id)
        if found is None:
            raise HTTPError(404)
        return found

    async def found(self, text: str) -> PeopleView:
        """The users that a search finds; without a text, those who came last."""
        rows = await self.desk.ledger.aread(records.search, text)
        banned = {ban.person_id for ban in await self.desk.ledger.aread(bans.holding, now=utc_now())}
        return PeopleView(people=[PersonSummary(**summary(row), banned=row.id in banned) for row in rows])

    def view(self, record: PersonRecord) -> PersonView:
        """One user in the administrator's language."""
        now = utc_now()
        views = [self._ban(ban, now) for ban in record.bans]
        return PersonView(
            **summary(record.person),
            banned=any(view.holds for view in views),
            groups={source.value: list(names) for source, names in record.groups.items()},
            bans=views,
            running=[run_view(one) for one in record.running],
            recent=[run_view(one) for one in record.recent],
            queued=[ticket.id for ticket in record.tickets if ticket.instance_id is None],
            paid=[
                PaidRunView(id=one.id, instance_type=one.instance_type, provider=one.provider, state=one.state.value)
                for one in record.orders
            ],
        )

    def _ban(self, ban: Ban, now: datetime) -> BanView:
        return BanView(
            id=ban.id,
            code=ban.code,
            reason=self.say(CODES[ban.code]),
            evidence=ban.evidence,
            note=ban.note,
            appeal=ban.appeal,
            by=ban.banned_by,
            at=ban.banned_at,
            until=ban.until,
            lifted_by=ban.lifted_by,
            lifted_at=ban.lifted_at,
            holds=ban.holds(now),
        )

    async def ban_person(self, person_id: str, change: BanChange) -> None:
        """Ban somebody else. Raises `NotAllowed` and `BadOption`."""
        if person_id == self.person_id:
            raise NotAllowed(NOT_YOURSELF, next_step=ASK_ANOTHER)
        await self.desk.ledger.awrite(commands.ban, person_id, change, by=self.user_name, now=utc_now(), new_id=new_id)
        log.info("administrator %s: ban %s, %s", self.user_name, person_id, change.code)

    async def unban_person(self, person_id: str) -> None:
        """Lift all bans that hold. Raises `Conflict` where none does."""
        await self.desk.ledger.awrite(commands.unban, person_id, by=self.user_name, now=utc_now())
        log.info("administrator %s: unban %s", self.user_name, person_id)

    async def forget_view(self, person_id: str) -> ForgetView:
        """What forgetting would do now."""
        return self._forgetting(await self.desk.ledger.aread(forgetting.preview, person_id, now=utc_now()))

    async def forget_person(self, person_id: str) -> ForgetView:
        """Do it. Raises `Conflict` where something runs or is billed."""
        done = await self.desk.ledger.awrite(forgetting.forget, person_id, now=utc_now())
        log.info("administrator %s: forget %s", self.user_name, person_id)
        return self._forgetting(done)

    def _forgetting(self, done: forgetting.Preview) -> ForgetView:
        return ForgetView(
            texts=[self.say(template, **params) for template, params in forget_texts(done)],
            refusals=[self.text_of(refusal) for refusal in done.refusals],
        )

    async def export_person(self, person_id: str) -> str:
        """All rows of the person, as JSON."""
        await self.person_record(person_id)
        found = await self.desk.ledger.aread(export, person_id, now=utc_now(), version=__version__)
        log.info("administrator %s: export %s", self.user_name, person_id)
        return json.dumps(found, indent=2, ensure_ascii=False, default=json_default)

    def amount(self, seconds: int | None) -> str:
        """An amount of an allowance in the administrator's language; None is unlimited."""
        return self.say(UNLIMITED) if seconds is None else amount(seconds, self.language_texts.language)

    def show(self, template: str, *, status: int = 200, **context: Any) -> None:
        """Send a page."""
        self.set_status(status)
        self.finish(
            self.render_page(
                template,
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                when=self.time_text,
                **context,
            )
        )


class PeoplePage(PeopleHandler):
    """GET /admin/people?q=…"""

    async def get(self) -> None:
        """The search and what it finds."""
        text = self.get_query_argument("q", "")[:255]
        self.show("admin/people.html", text=text, found=(await self.found(text)).people, trust=TRUST)


class PersonPage(PeopleHandler):
    """GET /admin/people/ID"""

    async def get(self, person_id: str) -> None:
        """The page."""
        view = self.view(await self.person_record(person_id))
        accepted = await self.desk.ledger.aread(terms.acceptances, at_most=20, person_id=person_id)
        allowance = await self.desk.ledger.aread(read_person, self.desk.catalog, person_id, utc_now())
        classes = self.desk.catalog.allowances.classes
        self.show(
            "admin/person.html",
            view=view,
            trust=TRUST,
            sources=SOURCES,
            states=STATES,
            titles=flavor_titles(self.desk.catalog, self.language_texts.language),
            images=image_titles(self.desk.catalog, self.language_texts.language),
            class_titles={one.id: one.title.in_language(self.language_texts.language) for one in classes},
            ends=ENDS,
            paid_states=PAID_STATES,
            is_self=person_id == self.person_id,
            accepted=accepted,
            allowance=allowance,
            granted=GRANTED,
            classes=classes,
            weeks=GRANT_WEEKS,
            new_form=new_id(),
            amount=self.amount,
        )


class BanPage(PeopleHandler):
    """GET and POST /admin/people/ID/ban"""

    async def get(self, person_id: str) -> None:
        """What a ban does, and its form."""
        await self._ask(person_id, {})

    async def post(self, person_id: str) -> None:
        """Ban, and redirect to the user's page."""
        await self.person_record(person_id)
        fields = form_fields(self)
        fields.pop("_xsrf", None)
        ends = fields.pop("ends", "")
        try:
            change = read(BanChange, fields | ({"for_good": True} if ends == FOR_GOOD else {"days": ends or None}))
            await self.ban_person(person_id, change)
        except BadOption as error:
            await self._ask(person_id, fields | {"ends": ends}, problem=self.text_of(error), status=400)
            return
        self.redirect(f"{self.desk.base}admin/people/{person_id}", status=303)

    async def _ask(self, person_id: str, given: dict[str, str], *, problem: str = "", status: int = 200) -> None:
        view = self.view(await self.person_record(person_id))
        if person_id == self.person_id:
            raise NotAllowed(NOT_YOURSELF, next_step=ASK_ANOTHER)
        self.show(
            "admin/person_ban.html", status=status, view=view, codes=CODES, days=DAYS, given=given, problem=problem
        )


class UnbanPage(PeopleHandler):
    """GET and POST /admin/people/ID/unban"""

    async def get(self, person_id: str) -> None:
        """What it does."""
        self.show("admin/person_unban.html", view=self.view(await self.person_record(person_id)))

    async def post(self, person_id: str) -> None:
        """Lift the bans, and redirect to the user's page."""
        await self.person_record(person_id)
        await self.unban_person(person_id)
        self.redirect(f"{self.desk.base}admin/people/{person_id}", status=303)


class ForgetPage(PeopleHandler):
    """GET and POST /admin/people/ID/forget"""

    async def get(self, person_id: str) -> None:
        """What goes, what stays, how long and why."""
        view = self.view(await self.person_record(person_id))
        self.show("admin/person_forget.html", view=view, plan=await self.forget_view(person_id))

    async def post(self, person_id: str) -> None:
        """Forget, and redirect to the search."""
        await self.person_record(person_id)
        await self.forget_person(person_id)
        self.redirect(f"{self.desk.base}admin/people", status=303)


class ExportFile(PeopleHandler):
    """GET /admin/people/ID/export.json: a download"""

    async def get(self, person_id: str) -> None:
        """All rows of the user."""
        text = await self.export_person(person_id)
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Disposition", f'attachment; filename="freepool-user-{person_id[:12]}.json"')
        self.finish(text)


class PersonApiHandler(PeopleHandler, JsonHandler):
    """Base of the API of one user."""

    def body(self, model: type[Model]) -> Model:
        """The request's body as `model`. Raises `BadOption`."""
        found = parse_command(model, self.request.body, largest=LARGEST_BODY)
        assert isinstance(found, model)
        return found

    async def answer_person(self, person_id: str) -> None:
        """Send the user's view."""
        self.answer(self.view(await self.person_record(person_id)))


class PeopleApi(PeopleHandler, JsonHandler):
    """GET /api/admin/people?q=…"""

    async def get(self) -> None:
        """What a search finds."""
        self.answer(await self.found(self.get_query_argument("q", "")[:255]))


class PersonApi(PersonApiHandler):
    """GET /api/admin/people/ID"""

    async def get(self, person_id: str) -> None:
        """One user."""
        await self.answer_person(person_id)


class BanApi(PersonApiHandler):
    """POST /api/admin/people/ID/ban"""

    async def post(self, person_id: str) -> None:
        """Ban. Answers with the user."""
        change = self.body(BanChange)
        await self.person_record(person_id)
        await self.ban_person(person_id, change)
        await self.answer_person(person_id)


class UnbanApi(PersonApiHandler):
    """POST /api/admin/people/ID/unban"""

    async def post(self, person_id: str) -> None:
        """Lift all bans. Answers with the user."""
        self.body(EmptyCommand)
        await self.person_record(person_id)
        await self.unban_person(person_id)
        await self.answer_person(person_id)


class ForgetApi(PersonApiHandler):
    """GET and POST /api/admin/people/ID/forget"""

    async def get(self, person_id: str) -> None:
        """What it would do now."""
        await self.person_record(person_id)
        self.answer(await self.forget_view(person_id))

    async def post(self, person_id: str) -> None:
        """Do it. Answers with what was done."""
        self.body(EmptyCommand)
        await self.person_record(person_id)
        self.answer(await self.forget_person(person_id))


class ExportApi(PersonApiHandler):
    """GET /api/admin/people/ID/export"""

    async def get(self, person_id: str) -> None:
        """All rows of the user."""
        text = await self.export_person(person_id)
        self.set_header("Content-Type", "application/json")
        self.finish(text)
