"""The operator's side: which clouds are on, the switch, what runs (and no way into it), what to look at, the record."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from spawner.desk.admin.pages import AdminHandler
from spawner.desk.http import JsonHandler
from spawner.desk.paid.admin_views import AdminRunView, CloudView, PaidAdminView
from spawner.desk.paid.alarms import KINDS, AlarmSnapshot, alarms, read_alarms
from spawner.desk.paid.http import PaidHandler, PaidPage
from spawner.desk.paid.record import RECORD, page_of, plain, shown
from spawner.desk.paid.texts import STATES, stand_of
from spawner.ledger.paid import audit
from spawner.ledger.paid.rows import Order
from spawner.ledger.pool import admin_settings
from spawner.paid.creation_pause import NO_NEW
from spawner.paid.providers.base import Capability

log = logging.getLogger("freepool.desk")
NO_ORDER = ""
"""What the record has of no order: that new ones were stopped, and allowed again."""


SWITCHES = {"pause": "no_new", "resume": "allowed_again"}


class PaidAdminHandler(AdminHandler, PaidHandler):
    """Base of what only administrators see."""

    async def admin_view(self) -> PaidAdminView:
        """As it is now."""
        now = self.paid.now()
        snapshot = await self.read(read_alarms)
        wrong: dict[str, list[str]] = {}
        for one in alarms(snapshot.alive, now, reaches=self.paid.reaches):
            wrong.setdefault(one.order.id, []).append(self.say(KINDS[one.kind]))
        paused = snapshot.paused
        return PaidAdminView(
            clouds=[
                CloudView(
                    id=one.id,
                    title=one.title,
                    regions=list(self.paid.regions.get(one.id, ())),
                    linkable=self.parts.proof is not None and Capability.PROOF in one.capabilities,
                )
                for one in self.paid.providers.values()
            ],
            paused=None if paused is None else {"by": paused.set_by, "at": paused.set_at.isoformat()},
            steward=snapshot.keeper_until is not None and snapshot.keeper_until >= now,
            instances=[self._run(order, snapshot, wrong) for order in snapshot.alive],
            bindings=dict(snapshot.bindings),
            consents=dict(snapshot.consents),
            orders=dict(snapshot.orders),
        )

    def _run(self, order: Order, snapshot: AlarmSnapshot, wrong: Mapping[str, list[str]]) -> AdminRunView:
        binding = snapshot.linked.get(order.binding_id)
        state = stand_of(order)
        return AdminRunView(
            id=order.id,
            user=order.user_name,
            account_ending=binding.account_id[-4:] if binding is not None else "",
            provider=order.provider,
            region=order.region,
            instance_type=order.instance_type,
            state=state,
            state_text=self.say(STATES[state]),
            created_at=order.created_at,
            stops_at=order.stops_at,
            alarms=wrong.get(order.id, []),
        )

    async def switch(self, act: str) -> None:
        """Nobody makes anything new from now on; or again."""
        now, name = self.paid.now(), self.user_name

        def change(connection: Connection) -> None:
            if act == "pause":
                admin_settings.put(connection, NO_NEW, True, now=now, by=name)
            else:
                admin_settings.clear(connection, NO_NEW)
            audit.note(connection, NO_ORDER, at=now, by=name, what=SWITCHES[act])

        await self.desk.ledger.awrite(change)
        log.info("operator %s: paid %s", name, act)


class PaidAdminPage(PaidAdminHandler, PaidPage):
    """GET /admin/paid"""

    is_live = True

    async def get(self) -> None:
        """The page."""
        view = await self.admin_view()
        since = datetime.fromisoformat(view.paused["at"]) if view.paused else None
        self.show("paid/admin.html", view=view, since=since, live=True)


class SwitchHandler(PaidAdminHandler, PaidPage):
    """POST /admin/paid/pause and …/resume"""

    async def post(self, act: str) -> None:
        """And back to the page."""
        await self.switch(act)
        self.go("admin/paid")


class PaidAdminStateHandler(PaidAdminHandler, JsonHandler):
    """GET /api/admin/paid"""

    async def get(self) -> None:
        """Everything."""
        self.answer(await self.admin_view())


class AuditHandler(PaidAdminHandler, PaidPage):
    """GET /admin/paid/audit.jsonl: everything that was asked, agreed, done and seen; one JSON object a line."""

    is_file = True

    async def get(self) -> None:
        """Page by page, so that a long record is never held whole."""
        self.set_header("Content-Type", "application/jsonl")
        self.set_header("Content-Disposition", 'attachment; filename="freepool-paid-audit.jsonl"')
        for kind, table in RECORD.items():
            (key,) = (column.name for column in table.primary_key.columns)
            last = None
            while rows := await self.read(page_of, table, last):
                for row in rows:
                    told = {"record": kind, "demo": self.desk.settings.is_demo, **shown(row)}
                    self.write(json.dumps(told, ensure_ascii=False, default=plain) + "\n")
                last = rows[-1][key]
                await self.flush()
