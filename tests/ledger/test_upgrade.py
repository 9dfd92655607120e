"""A ledger of the previous release, with rows in every state, is upgraded and downgraded without loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, select

from spawner.ledger import Event, Instance, InstanceState, Slot, SlotState, StartStep, Ticket, TicketState, open_ledger
from spawner.ledger import leases as lease_queries
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import SCRIPTS, check_version, migrate
from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid import tables as paid_tables
from spawner.ledger.paid.rows import (
    Binding,
    BindingState,
    Block,
    Consent,
    ConsentKind,
    ConsentState,
    Notice,
    NoticeKind,
    Order,
    OrderEvent,
    OrderState,
    StopReason,
)
from spawner.ledger.people import people
from spawner.ledger.pool import admin_settings, instances, slots, tickets, user_namespaces
from spawner.ledger.pool import tables as pool_tables
from spawner.ledger.pool.admin_settings import AdminSetting
from spawner.ledger.pool.rows import EndReason
from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.ledger.schema import EnumText, UtcDateTime, leases
from tests.ledger.rows import NOW, later
from tests.paid import make as make_paid
from tests.unit import make

PREVIOUS = "0004"
OLD_COLUMNS = {
    "slots": {"holder_id": "instance_id"},
    "consents": {"instance_type": "shape"},
    "orders": {"instance_type": "shape", "auto_stop_set_at": "armed_at"},
}
"""Names of the previous release, by the names of today."""
NEW_COLUMNS = {"person_id", "died_at"}
BEFORE_SINCE = datetime.fromisoformat(make_paid.SINCE) - timedelta(days=1)
PARAMETERS_NOW = {"instance_type": "ecs.g6.large", "reason": "asked"}
PARAMETERS_BEFORE = {"shape": "ecs.g6.large", "reason": "asked"}

Row = dict[str, Any]


def instances_in_every_state() -> list[Instance]:
    ended = [
        make.instance(
            f"ended-{reason}", InstanceState.ENDED, user_name=f"e-{reason}", usable_at=NOW, ended_at=later(9),
            stopping_at=later(8), reason=reason, detail="exit code 1", slot_id="s", url="http://x", example="mnist",
        )
        for reason in EndReason
    ]  # fmt: skip
    others = [make.instance(str(state), state, user_name=f"u-{state}") for state in InstanceState]
    return [replace(row, requested_at=later(at)) for at, row in enumerate([*ended, *others])]


def slots_in_every_state() -> list[Slot]:
    return [
        make.slot(
            f"s-{state}-{number}", state, holder_id=holder, created_at=NOW, warm_at=later(1), claimed_at=later(2),
            ended_at=later(3), reason=EndReason.SURPLUS, detail="…", version="sha256:1",
        )
        for state in SlotState
        for number, holder in enumerate([None, "an-instance", "a-ticket"])
    ]  # fmt: skip


def tickets_in_every_state() -> list[Ticket]:
    full = {
        "joined_at": NOW, "called_at": later(1), "hold_until": later(2), "instance_id": "running", "tries": 1,
        "served_at": later(3), "collected_at": later(4), "told_at": later(5), "ended_at": later(6),
        "expected_low": 60, "expected_high": 120, "ends_by": later(7), "detail": "…", "example": "mnist",
    }  # fmt: skip
    return [make.ticket(f"t-{state}", state, **full) for state in TicketState]


def bindings_in_every_state() -> list[Binding]:
    states = [*((state, None) for state in BindingState), *((BindingState.BLOCKED, block) for block in Block)]
    return [
        Binding(
            id=f"b{number}", person_id="ann", user_name="ann", user_since=make_paid.SINCE, provider="dsw",
            account_id=f"account{number}",
            subject="ann@example.com", external_id=f"e{number}", role="role", workspaces={"cn-hangzhou": "w"},
            state=state, blocked=block, blocked_at=NOW, proven_at=NOW, probed_at=later(1), unlinked_at=later(2),
        )
        for number, (state, block) in enumerate(states)
    ]  # fmt: skip


def consents_in_every_state() -> list[Consent]:
    return [
        make_paid.consent(
            f"c-{state}-{kind}", state, kind=kind, server_name=f"paid-{state}-{kind}", image="registry", disk=2**40,
            disk_price="0.01", accepted_at=later(1), spent_at=later(2), closed_at=later(3),
        )
        for state in ConsentState
        for kind in ConsentKind
    ]  # fmt: skip


def orders_in_every_state() -> list[Order]:
    full = {
        "workspace": "w", "recovered_at": NOW, "blocked": Block.CHECK, "blocked_at": later(1), "next_try_at": later(2),
        "busy_until": later(3), "begun_at": later(4), "tries": 3, "unsure": True, "posted_at": later(5),
        "asked_at": later(6), "ending_since": later(7), "active_at": later(8), "run_began_at": later(9),
        "auto_stop_set_at": later(10), "stopped_at": later(11), "ended_at": later(12), "seen_at": later(13),
        "remote_state": "running", "raw_state": "Running", "remote_reason": "…", "running": 1.5, "ran_before": 0.5,
        "stops_at": later(14), "spent": "0.65", "stop_wanted_at": later(15), "stop_wanted_by": "ann",
        "delete_wanted_at": later(16), "delete_wanted_by": "root", "version": 7,
    }  # fmt: skip
    by_state = [make_paid.order(f"o-{state}", state, remote_id=f"r-{state}", **full) for state in OrderState]
    by_reason = [make_paid.order(f"o-{reason}", OrderState.GONE, reason=reason) for reason in StopReason]
    return [*by_state, *by_reason]


EVENTS = [Event(n, "running", later(n), step, {"node": "n1"}) for n, step in enumerate(StartStep, 1)]
NODES = [NodeSupport("small", f"n{works}", works, "…", NOW) for works in (False, True)]
SETTINGS = {"floor": AdminSetting("floor", {"slots": 2}, NOW, "root")}
RECORD = [
    OrderEvent(1, "o-active", NOW, "ann", "ordered", "", "intended", "", PARAMETERS_NOW),
    OrderEvent(2, "o-active", NOW, "freepool", "made", "creating", "active", "r1", {"stop_in": 3}),
]
NOTICES = [
    Notice(n, f"{kind}:o", "ann", "ann", kind, "o-active", "b1", later(n), PARAMETERS_NOW, later(n) if n % 2 else None)
    for n, kind in enumerate(NoticeKind, 1)
]


def old_rows() -> dict[sa.Table, list[Row]]:
    """The same rows as the previous release stored them."""
    lease = {"name": "steward", "holder": "steward-1", "expires_at": later(30)}
    return {
        pool_tables.instances: [_before("instances", asdict(row)) for row in instances_in_every_state()],
        pool_tables.slots: [_before("slots", asdict(row)) for row in slots_in_every_state()],
        pool_tables.tickets: [_before("tickets", asdict(row)) for row in tickets_in_every_state()],
        pool_tables.controls: [asdict(row) for row in SETTINGS.values()],
        pool_tables.events: [asdict(row) for row in EVENTS],
        leases: [lease],
        pool_tables.user_namespaces: [asdict(row) for row in NODES],
        paid_tables.bindings: [_before("bindings", asdict(row)) for row in bindings_in_every_state()],
        paid_tables.consents: [_before("consents", asdict(row)) for row in consents_in_every_state()],
        paid_tables.orders: [_before("orders", asdict(row)) for row in orders_in_every_state()],
        paid_tables.order_events: [_before("order_events", asdict(row)) for row in RECORD],
        paid_tables.notices: [_before("notices", asdict(row)) for row in NOTICES],
    }


def _before(table: str, row: Row) -> Row:
    if row.get("params") == PARAMETERS_NOW:
        row["params"] = PARAMETERS_BEFORE
    return {OLD_COLUMNS.get(table, {}).get(name, name): value for name, value in row.items() if name not in NEW_COLUMNS}


def old_table(table: sa.Table) -> sa.TableClause:
    """A table under its old column names and with SQLAlchemy's own types."""
    names = OLD_COLUMNS.get(table.name, {})
    columns: list[sa.ColumnClause[Any]] = [
        sa.column(names.get(column.name, column.name), _plain_type(column.type))
        for column in table.c
        if column.name not in NEW_COLUMNS
    ]
    return sa.table(table.name, *columns)


def _plain_type(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    if isinstance(kind, EnumText):
        return sa.String()
    return sa.DateTime(timezone=True) if isinstance(kind, UtcDateTime) else kind


def stored(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in an old ledger, without Freepool's types."""
    return {
        table.name: sorted((tuple(row) for row in connection.execute(select(old_table(table)))), key=str)
        for table in old_rows()
    }


def without_ids(found: Any) -> Any:
    if isinstance(found, list):
        return [without_ids(one) for one in found]
    return replace(found, person_id=found.user_name) if hasattr(found, "person_id") else found


def run_alembic(engine: Engine, change: Callable[[Config, str], None], version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with engine.execution_options(freepool_write=True).begin() as connection:
        config.attributes["connection"] = connection
        change(config, version)


@pytest.fixture
def old_ledger(url: str) -> Engine:
    """A ledger of the previous release."""
    engine = make_engine(url)
    run_alembic(engine, command.upgrade, PREVIOUS)
    with engine.begin() as connection:
        for table, rows in old_rows().items():
            connection.execute(sa.insert(old_table(table)), rows)
    return engine


def test_a_ledger_of_the_previous_release_is_read_with_equal_values(old_ledger: Engine, url: str) -> None:
    migrate(old_ledger)
    ledger = open_ledger(url)

    def read(query: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What is read, with the names for people's ids: they are random."""
        return without_ids(ledger.read(query, *args, **kwargs))

    assert read(instances.history) == instances_in_every_state()
    assert [read(slots.get, row.id) for row in slots_in_every_state()] == slots_in_every_state()
    assert {row.id for row in read(slots.of_holder, "a-ticket")} == {
        f"s-{state}-2" for state in SlotState if state is not SlotState.GONE
    }
    assert [read(tickets.get, row.id) for row in tickets_in_every_state()] == tickets_in_every_state()
    assert read(instances.events_of, "running") == EVENTS
    assert read(admin_settings.all_of) == SETTINGS
    assert read(user_namespaces.all_of) == NODES
    assert read(lease_queries.ends_at, "steward") == later(30)
    assert read(lease_queries.holder_of, "steward", now=NOW) == "steward-1"
    assert [read(bindings.get, row.id) for row in bindings_in_every_state()] == bindings_in_every_state()
    assert [read(consents.get, row.id) for row in consents_in_every_state()] == consents_in_every_state()
    assert [read(orders.get, row.id) for row in orders_in_every_state()] == orders_in_every_state()
    assert read(audit.record_of, "o-active") == RECORD
    assert read(audit.notices_of, ledger.read(orders.get, "o-active").person_id) == NOTICES[::-1]
    ledger.close()
    old_ledger.dispose()


def test_a_person_is_made_for_each_name_and_each_user_of_it(old_ledger: Engine, url: str) -> None:
    """The time at which JupyterHub made a user is in the rows of paid instances; it tells namesakes apart."""
    later_user = replace(
        make_paid.order("o-second", OrderState.GONE), user_since=later(0).isoformat(), created_at=later(1)
    )
    free = [
        make.instance("i-former", InstanceState.ENDED, user_name="ann", requested_at=BEFORE_SINCE, ended_at=NOW),
        make.instance("i-first", InstanceState.ENDED, user_name="ann", requested_at=later(-1), ended_at=NOW),
        make.instance("i-second", InstanceState.ENDED, user_name="ann", requested_at=later(2), ended_at=NOW),
    ]
    with old_ledger.begin() as connection:
        connection.execute(sa.insert(old_table(paid_tables.orders)), [_before("orders", asdict(later_user))])
        connection.execute(
            sa.insert(old_table(pool_tables.instances)), [_before("instances", asdict(row)) for row in free]
        )
    migrate(old_ledger)
    ledger = open_ledger(url)
    first, second = (ledger.read(orders.get, name).person_id for name in ("o-active", "o-second"))
    owner = {row.id: ledger.read(instances.get, row.id).person_id for row in free}
    assert owner["i-first"] == first == ledger.read(bindings.get, "b0").person_id
    assert owner["i-second"] == second
    assert len({first, second, owner["i-former"]}) == 3
    anns = {person.id: person.hub_since for person in ledger.read(people.of_name, "ann")}
    assert anns == {first: make_paid.SINCE, second: later(0).isoformat(), owner["i-former"]: None}
    names = {row.user_name for row in [*instances_in_every_state(), *tickets_in_every_state()]}
    for name in names:
        (person,) = ledger.read(people.of_name, name)
        assert (person.hub_id, person.hub_since, person.identity) == (None, None, None)
    ledger.close()
    old_ledger.dispose()


def test_live_rows_of_namesakes_are_told_apart_after_a_downgrade(url: str) -> None:
    """The schema before knew names alone."""
    engine = make_engine(url)
    migrate(engine)
    rows = [
        make.instance("i-taker", InstanceState.RUNNING, user_name="ann", person_id="p2", requested_at=later(2)),
        make.instance("i-former", InstanceState.RUNNING, user_name="ann", person_id="p1", requested_at=later(1)),
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(pool_tables.instances), [asdict(row) for row in rows])
    run_alembic(engine, command.downgrade, "0005")
    with engine.connect() as connection:
        names = {row.id: row.user_name for row in connection.execute(sa.text("SELECT id, user_name FROM instances"))}
    assert names == {"i-taker": "ann", "i-former": "ann (p1)"}
    engine.dispose()


def test_an_upgraded_ledger_is_downgraded_to_the_same_rows(old_ledger: Engine) -> None:
    with old_ledger.connect() as connection:
        before = stored(connection)
    migrate(old_ledger)
    check_version(old_ledger)
    run_alembic(old_ledger, command.downgrade, PREVIOUS)
    with old_ledger.connect() as connection:
        assert stored(connection) == before
    run_alembic(old_ledger, command.downgrade, "base")
    old_ledger.dispose()


def test_enums_are_stored_as_their_values(old_ledger: Engine) -> None:
    migrate(old_ledger)
    with old_ledger.connect() as connection:
        states = connection.execute(sa.text("SELECT DISTINCT state FROM orders")).scalars()
        assert set(states) == {state.value for state in OrderState}
    old_ledger.dispose()
