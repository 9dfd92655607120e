"""Who runs what: search, stop, message; what failed lately; how many ran in the last day and week."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection

from spawner.desk.admin.causes import FAILURE_STEPS
from spawner.desk.admin.commands import parse_command
from spawner.desk.admin.load_chart import DAY, WEEK, LoadChart, chart_of
from spawner.desk.admin.pages import AdminHandler
from spawner.desk.admin.run_words import ENDS, STATES
from spawner.desk.admin.titles import flavor_title, flavor_titles, image_titles
from spawner.desk.http import JsonHandler
from spawner.desk.requests import form_fields
from spawner.desk.routes import Answer, Operation, Parameter, Route, errors
from spawner.errors import BadOption, Conflict
from spawner.ledger.pool import overview
from spawner.ledger.pool.overview import NamedRun
from spawner.ledger.pool.rows import InstanceState
from spawner.pool.admin import notebooks as commands
from spawner.pool.admin.commands import read
from spawner.pool.admin.notebooks import MessageRequest, StopRequest
from spawner.pool.build import new_id, utc_now
from spawner.pool.load import load_of
from spawner.pool.queue.admission import Admission
from spawner.pool.statistics import REPORTED

log = logging.getLogger("freepool.desk")
MOST = 200
MOST_FAILURES = 50
USES = {"working": "Working", "present": "User present", "waiting": "Waiting", "idle": "Idle"}
SENT = "The message was sent. Notebooks: {n}."
STOPPED = "The notebook is being stopped."


class NotebookView(BaseModel):
    """One run. `use`: how it is used now; null where that is not known."""

    id: str
    person: str
    name: str
    flavor: str
    image: str
    state: InstanceState
    requested_at: datetime
    usable_at: datetime | None
    ends_at: datetime | None
    use: str | None


class NotebooksView(BaseModel):
    """The notebooks that a search finds: the oldest 200 at most, and in `total` how many there are."""

    notebooks: list[NotebookView]
    total: int


class ToldView(BaseModel):
    """To how many notebooks a message went."""

    notebooks: int


def matches(run: NamedRun, text: str) -> bool:
    """Whether a search finds it: by a part of the person's name, or the beginning of an id, a flavor or an image."""
    wanted = text.casefold().strip()
    one = run.instance
    ids = (one.id, one.person_id, one.flavor, one.image)
    return wanted in run.name.casefold() or any(value.casefold().startswith(wanted) for value in ids)


class NotebooksHandler(AdminHandler):
    """Base of pages and API: find, stop, send a message."""

    async def found(self, text: str) -> tuple[list[NamedRun], int]:
        """What a search finds, at most `MOST`, and how many there are."""
        runs = [one for one in await self.desk.ledger.aread(overview.running) if matches(one, text)]
        return runs[:MOST], len(runs)

    async def stop(self, instance_id: str) -> None:
        """Raises `Conflict` where it no longer runs."""
        desk, by = self.desk, self.user_name
        intend_end = Admission(desk.catalog, desk.backend, utc_now, new_id).intend_end
        await desk.ledger.awrite(
            commands.stop, desk.catalog, instance_id, intend_end=intend_end, by=by, now=utc_now(), new_id=new_id
        )
        log.info("administrator %s: stop %s", by, instance_id)

    async def tell(self, request: MessageRequest) -> int:
        """Send a message. Raises `BadOption` where nothing runs."""
        count = await self.desk.ledger.awrite(commands.tell, request, by=self.user_name, now=utc_now(), new_id=new_id)
        log.info("administrator %s: message to %s", self.user_name, request.instance or "all")
        return count

    async def show(self, text: str = "", *, status: int = 200, **context: Any) -> None:
        """Send the page."""
        now = utc_now()
        runs, total = await self.found(text)
        failures, spans = await self.desk.ledger.aread(_read_past, now)
        language = self.language_texts.language
        titles = dict(flavor_titles(self.desk.catalog, language))
        charts = [(name, self._chart(spans, titles, span, now)) for name, span in (("day", DAY), ("week", WEEK))]
        self.set_status(status)
        self.finish(
            self.render_page(
                "admin/notebooks.html",
                **{"problem": "", "done": "", "given": {}, "chosen": self.get_query_argument("to", "")} | context,
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                text=text,
                runs=runs,
                total=total,
                failures=failures,
                charts=charts,
                titles=titles,
                images=image_titles(self.desk.catalog, language),
                states=STATES,
                uses=USES,
                ends=ENDS,
                steps={reason.value: step for reason, step in FAILURE_STEPS.items()},
                when=self.time_text,
            )
        )

    def _chart(
        self, spans: list[overview.Span], titles: dict[str, str], span: tuple[timedelta, int], now: datetime
    ) -> LoadChart:
        step, steps = span
        load = load_of(spans, list(titles), until=now, step=step, steps=steps)
        return chart_of(load, titles, time_text=self.time_text, per_row=4)


def _read_past(connection: Connection, now: datetime) -> tuple[list[NamedRun], list[overview.Span]]:
    failures = overview.failed_since(connection, now - timedelta(days=1), reasons=list(REPORTED), at_most=MOST_FAILURES)
    return failures, overview.spans_since(connection, now - WEEK[0] * WEEK[1])


class NotebooksPage(NotebooksHandler):
    """GET /admin/notebooks?q=…"""

    async def get(self) -> None:
        """The list."""
        told = self.get_query_argument("told", "")
        done = self.say(SENT, n=int(told)) if told.isascii() and told.isdigit() and len(told) < 9 else ""
        if self.get_query_argument("stopped", ""):
            done = self.say(STOPPED)
        await self.show(self.get_query_argument("q", "")[:255], done=done)


class StopPage(NotebooksHandler):
    """GET and POST /admin/notebooks/ID/stop"""

    async def get(self, instance_id: str) -> None:
        """What it does."""
        await self._ask(instance_id)

    async def post(self, instance_id: str) -> None:
        """Stop it, and redirect to the list."""
        await self.stop(instance_id)
        self.redirect(f"{self.desk.base}admin/notebooks?stopped=1", status=303)

    async def _ask(self, instance_id: str) -> None:
        run = next(
            (one for one in (await self.desk.ledger.aread(overview.running)) if one.instance.id == instance_id), None
        )
        if run is None:
            raise Conflict("This notebook is no longer running.", next_step="Reload the list.")
        language = self.language_texts.language
        title = flavor_title(self.desk.catalog, run.instance.flavor, language)
        image = image_titles(self.desk.catalog, language).get(run.instance.image, run.instance.image)
        self.finish(
            self.render_page(
                "admin/notebook_stop.html",
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                run=run,
                title=title,
                image=image,
                when=self.time_text,
            )
        )


class MessagePage(NotebooksHandler):
    """POST /admin/notebooks/message"""

    async def post(self) -> None:
        """Send the message, and redirect to the list."""
        fields = form_fields(self)
        given = {"text": fields.get("text", ""), "instance": fields.get("instance") or None}
        try:
            count = await self.tell(read(MessageRequest, given))
        except BadOption as error:
            await self.show(problem=self.text_of(error), given=given, chosen=given["instance"], status=400)
            return
        self.redirect(f"{self.desk.base}admin/notebooks?told={count}", status=303)

    @property
    def here(self) -> str:
        """The list."""
        return f"{self.desk.base}admin/notebooks"


class NotebooksApi(NotebooksHandler, JsonHandler):
    """GET /api/admin/notebooks?q=…"""

    async def get(self) -> None:
        """What a search finds."""
        runs, total = await self.found(self.get_query_argument("q", "")[:255])
        self.answer(NotebooksView(notebooks=[_view(one) for one in runs], total=total))


class StopApi(NotebooksHandler, JsonHandler):
    """POST /api/admin/notebooks/stop"""

    async def post(self) -> None:
        """Stop one. Answers with those that are left."""
        request = parse_command(StopRequest, self.request.body)
        assert isinstance(request, StopRequest)
        await self.stop(request.instance)
        runs, total = await self.found("")
        self.answer(NotebooksView(notebooks=[_view(one) for one in runs], total=total))


class MessageApi(NotebooksHandler, JsonHandler):
    """POST /api/admin/notebooks/message"""

    async def post(self) -> None:
        """Send a message."""
        request = parse_command(MessageRequest, self.request.body)
        assert isinstance(request, MessageRequest)
        self.answer(ToldView(notebooks=await self.tell(request)))


def _view(run: NamedRun) -> NotebookView:
    one = run.instance
    return NotebookView(
        id=one.id,
        person=one.person_id,
        name=run.name,
        flavor=one.flavor,
        image=one.image,
        state=one.state,
        requested_at=one.requested_at,
        usable_at=one.usable_at,
        ends_at=one.ends_at,
        use=run.use.activity.value if run.use else None,
    )


REFUSED = errors(FORBIDDEN="Not signed in, no administrator, or no XSRF token.", BAD_REQUEST="Invalid body or query.")
ROUTES: tuple[Route, ...] = (
    Route("admin/notebooks", NotebooksPage),
    Route("admin/notebooks/message", MessagePage),
    Route("admin/notebooks/([0-9a-zA-Z-]{1,32})/stop", StopPage, is_pattern=True),
    Route(
        "api/admin/notebooks",
        NotebooksApi,
        (
            Operation(
                "get",
                "Running notebooks, by a part of the user's name or the beginning of an id, flavor or image",
                {200: Answer("Now.", NotebooksView), **REFUSED},
                query=(Parameter("q", {"type": "string"}),),
            ),
        ),
    ),
    Route(
        "api/admin/notebooks/stop",
        StopApi,
        (
            Operation(
                "post",
                "Stop a notebook",
                {200: Answer("Those that are left.", NotebooksView), **REFUSED, **errors(CONFLICT="It has ended.")},
                StopRequest,
            ),
        ),
    ),
    Route(
        "api/admin/notebooks/message",
        MessageApi,
        (
            Operation(
                "post",
                "Write to the user of one notebook, or of all that run",
                {200: Answer("To how many it went.", ToldView), **REFUSED},
                MessageRequest,
            ),
        ),
    ),
)
