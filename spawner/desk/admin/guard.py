"""The administrators' page of the guard's notes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from spawner.desk.admin.pages import AdminHandler
from spawner.desk.routes import Route
from spawner.errors import Conflict
from spawner.ledger import Instance, InstanceState
from spawner.ledger.people import people
from spawner.ledger.pool import guard_notes
from spawner.ledger.pool.guard_notes import NotedInstance
from spawner.ledger.pool.rows import GuardKind, GuardLook, GuardNote
from spawner.pool.backends.base import Unseen
from spawner.pool.build import utc_now

log = logging.getLogger("freepool.desk")
MOST_NOTES = 200
EVIDENCE: Mapping[GuardKind, str] = {
    GuardKind.BUSY: "It used {percent} % of its processors over {minutes} minutes, and JupyterHub saw nobody use it.",
    GuardKind.PROCESS: "Programs with these names run in it: {names}.",
    GuardKind.PLACE: "It had connections to these places, at ports that mining pools use: {places}.",
}
BUSY_ANYWAY = "It used {percent} % of its processors over {minutes} minutes."
UNSEEN: Mapping[Unseen, str] = {
    Unseen.NO_METRICS: "Processor time cannot be seen: the cluster has no metrics API, or it does not answer.",
    Unseen.MAY_NOT_READ_METRICS: "Processor time cannot be seen: Freepool may not read the cluster's metrics "
    "(guard.podMetrics in the chart).",
}
NOT_INSIDE = "Names of programs and connections cannot be seen here."
CANNOT_SLOW = "Notebooks cannot be slowed down here."
LISTS = ("names", "places")
TEXTS = (*EVIDENCE.values(), BUSY_ANYWAY, *UNSEEN.values(), NOT_INSIDE, CANNOT_SLOW)


@dataclass(frozen=True)
class GuardSnapshot:
    """Open notes, present names by id of a person, and the last look."""

    notes: list[NotedInstance]
    names: dict[str, str]
    look: GuardLook | None


def read_guard(connection: Connection) -> GuardSnapshot:
    """Read them in one transaction."""
    notes = guard_notes.undismissed(connection, at_most=MOST_NOTES)
    names = people.names(connection, [one.note.person_id for one in notes])
    return GuardSnapshot(notes, names, guard_notes.last_look(connection))


class GuardPage(AdminHandler):
    """GET /admin/guard"""

    async def get(self) -> None:
        """The page."""
        snapshot = await self.desk.ledger.aread(read_guard)
        self.finish(
            self.render_page(
                "admin/guard.html",
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                time_text=self.time_text,
                is_on=self.desk.settings.guard.note,
                look=snapshot.look,
                blind_spots=self._blind_spots(snapshot.look),
                rows=[self._row(one, snapshot.names) for one in snapshot.notes],
            )
        )

    def _row(self, one: NotedInstance, names: Mapping[str, str]) -> dict[str, object]:
        note = one.note
        return {
            "note": note,
            "name": names.get(note.person_id) or (one.instance.user_name if one.instance else note.person_id),
            "evidence": self._evidence(note),
            "runs": _runs(one.instance),
        }

    def _evidence(self, note: GuardNote) -> str:
        words = {name: ", ".join(value) if name in LISTS else value for name, value in note.evidence.items()}
        text = EVIDENCE[note.kind]
        if note.kind is GuardKind.BUSY and not note.evidence.get("away", True):
            text = BUSY_ANYWAY
        return self.say(text, **words)

    def _blind_spots(self, look: GuardLook | None) -> list[str]:
        if look is None:
            return []
        unseen = look.sight.get("unseen")
        texts = [UNSEEN[Unseen(unseen)]] if unseen in set(Unseen) else []
        texts += [] if look.sight.get("inside") else [NOT_INSIDE]
        if self.desk.settings.guard.slower_after_minutes is not None and not look.sight.get("slows"):
            texts.append(CANNOT_SLOW)
        return [self.say(text) for text in texts]


def _runs(instance: Instance | None) -> bool:
    return instance is not None and instance.state is InstanceState.RUNNING


class DismissHandler(AdminHandler):
    """POST /admin/guard/ID/dismiss"""

    async def post(self, note_id: str) -> None:
        """Nothing more follows from the note, and an instance that was slowed for it gets its speed back."""
        if not await self.desk.ledger.awrite(guard_notes.dismiss, note_id, by=self.user_name, now=utc_now()):
            raise Conflict("This note is no longer open.", next_step="Reload the page.")
        log.info("administrator %s: dismissed note %s", self.user_name, note_id)
        self.redirect(f"{self.desk.base}admin/guard", status=303)

    @property
    def here(self) -> str:
        """The page with the list."""
        return f"{self.desk.base}admin/guard"


ROUTES: tuple[Route, ...] = (
    Route("admin/guard", GuardPage),
    Route("admin/guard/([0-9a-z]{1,32})/dismiss", DismissHandler, is_pattern=True),
)
