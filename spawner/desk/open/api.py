"""POST /api/open: opens the kept link in the running notebook."""

from __future__ import annotations

from spawner.desk.open import cookie
from spawner.desk.open.describe import FAILED, failure, file_url, progress
from spawner.desk.open.http import LinkHandler
from spawner.desk.open.views import OpenView
from spawner.desk.requests import EmptyRequest, parse
from spawner.desk.user.instance_client import InstanceRefused, fetch_link
from spawner.desk.user.save import running_of
from spawner.desk.user.views import State
from spawner.ledger.pool import tickets
from spawner.links.target import Kind, Target

WAIT_SECONDS = 8.0
"""How long an answer that says "not yet" waits for a change; then the page asks again."""


class OpenHandler(LinkHandler):
    """POST /api/open"""

    async def post(self) -> None:
        """Answers at once where something changed; the same request again opens the same file.

        One that waits counts as a stream. Raises `RateLimited`, where its user has too many open.
        """
        parse(EmptyRequest, self.request.body)
        target = cookie.kept(self)
        if target is None:
            self.answer(OpenView(state="none", text=self.say("There is no link to open."), url=self.desk.base))
            return
        number = self.desk.changes.number
        view = await self._view(target)
        if view.state in ("queued", "starting", "stopping") and self.get_query_argument("wait", "") == "yes":
            with self.streams.place(self.person_id):
                await self.desk.changes.next(seconds=WAIT_SECONDS, after=number)
            view = await self._view(target)
        self.answer(view)

    async def _view(self, target: Target) -> OpenView:
        state = await self.state()
        example = self.example_in(target, state.examples)
        found = progress(state, self.language_texts, page=self.page_of(target), image=self.image_of(target))
        if found is not None and found.state == "idle" and await self._is_called():
            return OpenView(state="starting", text=self.say("Starting your notebook"))
        if found is not None or state.instance is None:
            return found or OpenView(state="idle", text="")
        if example is not None:
            return self._ready(state, example.path)
        return await self._fetch(target, state)

    async def _is_called(self) -> bool:
        """Whether a start has begun that the hub has not yet made an instance of."""
        own = await self.desk.ledger.aread(tickets.alive, self.person_id)
        return any(ticket.server_name == "" for ticket in own)

    async def _fetch(self, target: Target, state: State) -> OpenView:
        """Have the notebook fetch it. Raises `NotRunning`, where it has just ended."""
        settings, instance = self.desk.settings, await running_of(self)
        names = ("git", "ref", "path") if target.kind is Kind.GIT else ("url",)
        fields = {name: getattr(target, name) for name in names}
        fields["certificates"] = settings.links.certificates_for(target.host)
        try:
            done = await fetch_link(instance, settings.secret("desk"), fields)
        except InstanceRefused:
            text = self.say(FAILED)
            return OpenView(state="failed", text=text, next=self.say("Try again in a moment."))
        if done.get("state") == "working":
            return OpenView(state="fetching", text=self.say("Downloading into your notebook"))
        if done.get("state") == "done":
            return self._ready(state, str(done.get("path", "")))
        return failure(str(done.get("code", "")), str(done.get("details", "")), self.language_texts)

    def _ready(self, state: State, path: str) -> OpenView:
        assert state.instance is not None
        return OpenView(
            state="ready", text=self.say("Ready"), url=file_url(state.instance.url, path, self.language_texts.language)
        )
