"""The administrator's page of paid instances: clouds, pause, instances, alarms, export."""

from __future__ import annotations

import json
import logging
from datetime import datetime

from sqlalchemy import Connection

from spawner.desk.admin.pages import AdminHandler
from spawner.desk.http import JsonHandler
from spawner.desk.paid.admin_views import AdminRunView, CloudView, PaidAdminView
from spawner.desk.paid.alarms import KINDS, AlarmSnapshot, alarms, read_alarms
from spawner.desk.paid.http import PaidHandler, PaidPage
from spawner.desk.paid.record import RECORD, json_default, page_of, shown
from spawner.desk.paid.texts import STATES, display_state
from spawner.ledger.paid import audit
from spawner.ledger.paid.rows import Order
from spawner.ledger.pool import admin_settings
from spawner.paid.creation_pause import NO_NEW
from spawner.paid.providers.base import Capability

log = logging.getLogger("freepool.desk")
NO_ORDER = ""
"""Id of the order in events that are about no order, such as a pause."""
EVENTS = {"pause": "no_new", "resume": "allowed_again"}


class PaidAdminHandler(AdminHandler, PaidHandler):
    """Base of everything about paid instances that only administrators may see."""

    async def admin_view(self) -> PaidAdminView:
        """The page's state, read now."""
        now = self.paid.now()
        snapshot = await self.read(read_alarms)
        alarm_texts: dict[str, list[str]] = {}
        for alarm in alarms(snapshot.alive, now, reaches=self.paid.reaches, caps=snapshot.caps):
            alarm_texts.setdefault(alarm.order.id, []).append(self.say(KINDS[alarm.kind]))
        paused = snapshot.paused
        return PaidAdminView(
            clouds=[
                CloudView(
                    id=provider.id,
                    title=self.title(provider.id),
                    regions=list(self.paid.regions.get(provider.id, ())),
                    linkable=self.parts.proof is not None and Capability.PROOF in provider.capabilities,
                )
                for provider in self.paid.providers.values()
            ],
            paused=None if paused is None else {"by": paused.set_by, "at": paused.set_at.isoformat()},
            steward=snapshot.lease_ends_at is not None and snapshot.lease_ends_at >= now,
            instances=[self._run(order, snapshot, alarm_texts.get(order.id, [])) for order in snapshot.alive],
            bindings=dict(snapshot.bindings),
            consents=dict(snapshot.consents),
            orders=dict(snapshot.orders),
        )

    def _run(self, order: Order, snapshot: AlarmSnapshot, alarm_texts: list[str]) -> AdminRunView:
        binding = snapshot.linked.get(order.binding_id)
        state = display_state(order)
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
            alarms=alarm_texts,
        )

    async def switch(self, act: str) -> None:
        """Pause or resume the creation of paid instances. `act` is a key of `EVENTS`."""
        now, name = self.paid.now(), self.user_name

        def change(connection: Connection) -> None:
            if act == "pause":
                admin_settings.put(connection, NO_NEW, True, now=now, by=name)
            else:
                admin_settings.clear(connection, NO_NEW)
            audit.note(connection, NO_ORDER, at=now, by=name, what=EVENTS[act])

        await self.desk.ledger.awrite(change)
        log.info("administrator %s: %s paid instances", name, act)


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
        """Apply it, and redirect to the page."""
        await self.switch(act)
        self.go("admin/paid")


class PaidAdminStateHandler(PaidAdminHandler, JsonHandler):
    """GET /api/admin/paid"""

    async def get(self) -> None:
        """The whole state."""
        self.answer(await self.admin_view())


class AuditHandler(PaidAdminHandler, PaidPage):
    """GET /admin/paid/audit.jsonl: all rows of all users, one JSON object a line"""

    is_file = True

    async def get(self) -> None:
        """Sent page by page, so that a long record does not fill the memory."""
        self.set_header("Content-Type", "application/jsonl")
        self.set_header("Content-Disposition", 'attachment; filename="freepool-paid-audit.jsonl"')
        for kind, table in RECORD.items():
            (key,) = (column.name for column in table.primary_key.columns)
            last = None
            while rows := await self.read(page_of, table, last):
                for row in rows:
                    line = {"record": kind, "demo": self.desk.settings.is_demo, **shown(row)}
                    self.write(json.dumps(line, ensure_ascii=False, default=json_default) + "\n")
                last = rows[-1][key]
                await self.flush()
