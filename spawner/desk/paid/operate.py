"""The operator's side: which clouds are on, the switch, what runs (and no way into it), what to look at, the record."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select

from spawner.desk.base import JsonHandler
from spawner.desk.operator import ForOperators
from spawner.desk.paid.alarms import KINDS, OperateMoment, alarms, read_operate
from spawner.desk.paid.base import PaidHandler, PaidPage
from spawner.desk.paid.operate_views import CloudView, OperatePaidView, RunView
from spawner.desk.paid.words import STATES, stand_of
from spawner.ledger import controls
from spawner.ledger.paid_model import Order
from spawner.ledger.paid_tables import bindings, consents, order_events, orders
from spawner.paid.asking import NO_NEW
from spawner.paid.providers.base import Capability

log = logging.getLogger("freepool.desk")
PAGE = 500
SECRET = {"external_id", "session", "answer_hash"}
"""Not secrets of anybody's, but nothing that a record needs to hand on."""
RECORD: Mapping[str, Table] = {"binding": bindings, "consent": consents, "order": orders, "event": order_events}


class ForPaidOperators(ForOperators, PaidHandler):
    """Base of what only administrators see."""

    async def operate_view(self) -> OperatePaidView:
        """As it is now."""
        now = self.paid.now()
        moment = await self.read(read_operate)
        wrong: dict[str, list[str]] = {}
        for one in alarms(moment.alive, now):
            wrong.setdefault(one.order.id, []).append(self.say(KINDS[one.kind]))
        paused = moment.paused
        return OperatePaidView(
            clouds=[
                CloudView(
                    id=one.id,
                    title=one.title,
                    regions=list(self.paid.regions.get(one.id, ())),
                    linkable=self.desk.linking is not None and Capability.PROOF in one.capabilities,
                )
                for one in self.paid.providers.values()
            ],
            paused=None if paused is None else {"by": paused.set_by, "at": paused.set_at.isoformat()},
            steward=moment.keeper_until is not None and moment.keeper_until >= now,
            instances=[self._run(order, moment, wrong) for order in moment.alive],
            bindings=dict(moment.bindings),
            consents=dict(moment.consents),
            orders=dict(moment.orders),
        )

    def _run(self, order: Order, moment: OperateMoment, wrong: Mapping[str, list[str]]) -> RunView:
        binding = moment.linked.get(order.binding_id)
        state = stand_of(order)
        return RunView(
            id=order.id,
            user=order.user_name,
            account_ending=binding.account_id[-4:] if binding is not None else "",
            provider=order.provider,
            region=order.region,
            shape=order.shape,
            state=state,
            state_text=self.say(STATES[state]),
            created_at=order.created_at,
            stops_at=order.stops_at,
            alarms=wrong.get(order.id, []),
        )

    async def switch(self, act: str) -> None:
        """Nobody makes anything new from now on; or again."""
        now, name = self.paid.now(), self.user_name
        change: Callable[[Connection], Any]
        if act == "pause":
            change = lambda connection: controls.put(connection, NO_NEW, True, now=now, by=name)  # noqa: E731
        else:
            change = lambda connection: controls.clear(connection, NO_NEW)  # noqa: E731
        await self.desk.ledger.awrite(change)
        log.info("operator %s: paid %s", name, act)


class OperatePage(ForPaidOperators, PaidPage):
    """GET /operator/paid"""

    is_live = True

    async def get(self) -> None:
        """The page."""
        view = await self.operate_view()
        since = datetime.fromisoformat(view.paused["at"]) if view.paused else None
        self.show("paid_operator.html", view=view, since=since, live=True)


class SwitchHandler(ForPaidOperators, PaidPage):
    """POST /operator/paid/pause and …/resume"""

    async def post(self, act: str) -> None:
        """And back to the page."""
        await self.switch(act)
        self.go("operator/paid")


class OperateHandler(ForPaidOperators, JsonHandler):
    """GET /api/operator/paid"""

    async def get(self) -> None:
        """Everything."""
        self.answer(await self.operate_view())


class AuditHandler(ForPaidOperators, PaidPage):
    """GET /operator/paid/audit.jsonl: everything that was asked, agreed, done and seen; one JSON object a line."""

    is_file = True

    async def get(self) -> None:
        """Page by page, so that a long record is never held whole."""
        self.set_header("Content-Type", "application/jsonl")
        self.set_header("Content-Disposition", 'attachment; filename="freepool-paid-audit.jsonl"')
        for kind, table in RECORD.items():
            offset = 0
            while rows := await self.read(_page, table, offset):
                for row in rows:
                    self.write(json.dumps({"record": kind, **row}, ensure_ascii=False, default=_plain) + "\n")
                offset += len(rows)
                await self.flush()


def _page(connection: Connection, table: Table, offset: int) -> list[dict[str, Any]]:
    query = select(table).order_by(*table.primary_key.columns).limit(PAGE).offset(offset)
    return [dict(_without(dict(row._mapping))) for row in connection.execute(query)]


def _without(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in row.items() if name not in SECRET)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
