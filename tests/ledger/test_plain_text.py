"""Any text of a user, program, cluster or cloud can be stored, and prevents no instance from ending."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from sqlalchemy import URL, create_engine, text

from spawner.catalog import Limits
from spawner.ledger import EndReason, InstanceState, Ledger, SlotState, StartStep, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.paid import audit, bindings, orders
from spawner.ledger.paid.rows import NoticeKind
from spawner.ledger.pool import admin_settings, instances, slots, tickets, user_namespaces
from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.pool.backends.base import SlotStatus
from spawner.pool.backends.kubernetes.manifest import ASSIGNED, ASSIGNED_LABEL, CONTAINER, SLOT_LABEL
from spawner.pool.backends.kubernetes.pods import read_pod
from spawner.pool.pool import Pool
from spawner.steward import reconcile
from spawner.steward.runner import Steward
from tests.ledger.conftest import text_of
from tests.ledger.rows import later, request, slot_in
from tests.ledger.running import pool_on, run_instance, state_of
from tests.paid.make import write_binding, write_order

HOSTILE = "a\0b\x1b[31mred\x1b]0;title\x07\u202e\ud800 c"
PLAIN = "a bred   c"
NAMES = ["ann", "ann\0", "\0ann", "ann\ud800", "ann\ufdd0", "ann\ufdd00000", "ann\x1b", "安"]


@pytest.fixture
def pool(ledger: Ledger) -> Pool:
    return pool_on(ledger)


def failed_pod(message: str) -> SlotStatus:
    """As the kubelet reports `printf 'a\\0b' >/dev/termination-log; kill -9 1`."""
    terminated = {"exitCode": 1, "reason": "Error", "message": message}
    pod = read_pod(
        {
            "metadata": {
                "name": "freepool-s1",
                "uid": "u",
                "resourceVersion": "1",
                "labels": {SLOT_LABEL: "s1", ASSIGNED_LABEL: ASSIGNED},
            },
            "status": {
                "phase": "Failed",
                "containerStatuses": [{"name": CONTAINER, "state": {"terminated": terminated}}],
            },
        }
    )
    assert pod is not None
    return pod.status


async def steward_ends(pool: Pool, status: SlotStatus) -> None:
    """Let the steward act on this status."""
    steward = Steward(pool, holder="test", hub=None, hub_token="")  # type: ignore[arg-type]
    actions = reconcile.decide(
        slots=pool.ledger.read(slots.occupying),
        instances=pool.ledger.read(instances.unended),
        found={"s1": status},
        now=pool.now(),
        limits=Limits(),
    )
    for action in actions:
        await steward._carry_out(action)


async def test_a_termination_message_does_not_keep_an_instance_alive(pool: Pool, ledger: Ledger) -> None:
    run_instance(ledger)
    await steward_ends(pool, failed_pod(HOSTILE))
    assert state_of(ledger) == (InstanceState.ENDED, EndReason.CRASHED, f"exit code 1: {PLAIN}", SlotState.GONE)


@pytest.mark.parametrize("noted", [True, False])
async def test_an_end_is_written_whatever_its_detail(pool: Pool, ledger: Ledger, noted: bool) -> None:
    run_instance(ledger)
    if noted:
        await pool.note_end("i1", EndReason.CRASHED, HOSTILE)
        await pool.correct_reason("i1", EndReason.LOST, HOSTILE)
    assert await pool.end("i1", EndReason.LOST, detail=HOSTILE)
    assert state_of(ledger) == (InstanceState.ENDED, EndReason.LOST, PLAIN, SlotState.GONE)


async def test_a_slot_and_a_ticket_end_whatever_their_detail(pool: Pool, ledger: Ledger) -> None:
    slot_in(ledger, SlotState.WARM)
    assert await pool.destroy_slot("s1", EndReason.CRASHED, detail=HOSTILE)
    slot = ledger.read(slots.get, "s1")
    assert (slot.state, slot.detail) == (SlotState.GONE, PLAIN)


@pytest.fixture
def latin_ledger(postgres: URL) -> Iterator[Ledger]:
    """A ledger in a database with an encoding that lacks most characters."""
    name = f"latin_{secrets.token_hex(6)}"
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"))
    url = text_of(postgres.set(database=name))
    own = make_engine(url)
    migrate(own)
    own.dispose()
    ledger = open_ledger(url)
    yield ledger
    ledger.close()
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


async def test_an_end_whose_detail_cannot_be_stored_is_written_without_it(latin_ledger: Ledger) -> None:
    run_instance(latin_ledger)
    await steward_ends(pool_on(latin_ledger), failed_pod("猫"))
    assert state_of(latin_ledger) == (InstanceState.ENDED, EndReason.CRASHED, None, SlotState.GONE)


def test_users_whose_names_no_database_can_store_are_kept_apart(ledger: Ledger) -> None:
    for number, name in enumerate(NAMES):
        request(ledger, f"i{number}", user=name, server=name)
    assert [instance.user_name for instance in ledger.read(instances.unended)] == NAMES
    for number, name in enumerate(NAMES):
        assert [instance.id for instance in ledger.read(instances.unended, name)] == [f"i{number}"]
        latest = ledger.read(instances.latest, name, name)
        assert latest is not None
        assert (latest.id, latest.server_name) == (f"i{number}", name)
        assert ledger.read(tickets.alive, name) == []


def test_a_nodes_message_is_written(ledger: Ledger) -> None:
    ledger.write(user_namespaces.note, NodeSupport("small", "node-1", False, HOSTILE, later(0)))
    assert ledger.read(user_namespaces.all_of) == [NodeSupport("small", "node-1", False, PLAIN, later(0))]


def test_a_clouds_message_about_an_order_is_written(ledger: Ledger) -> None:
    write_binding(ledger, workspaces={"r": HOSTILE})
    assert ledger.read(bindings.get, "b1").workspaces == {"r": HOSTILE}
    before = write_order(ledger)
    changes = {"remote_reason": HOSTILE, "raw_state": HOSTILE + "x" * 200, "remote_id": "r\0"}
    ledger.write(orders.update_read, before, changes)
    after = ledger.read(orders.get, before.id)
    assert (after.remote_reason, after.remote_id) == (PLAIN, "r\0")
    assert after.raw_state == (PLAIN + "x" * 200)[:64]
    ledger.write(
        audit.note, "o1", at=later(0), by="ann\0", what="stop", request_id=HOSTILE * 20, params={"why": [HOSTILE]}
    )
    (line,) = ledger.read(audit.record_of, "o1")
    assert (line.by, line.params) == ("ann\0", {"why": [PLAIN]})
    assert line.request_id == (PLAIN * 20)[:128]


def test_other_texts_are_written(ledger: Ledger) -> None:
    ledger.write(
        audit.tell, "ann\0", NoticeKind.NOT_MADE, occasion="o1", at=later(0), order_id="o1", params={"why": HOSTILE}
    )
    (notice,) = ledger.read(audit.notices_of, "ann\0")
    assert (notice.user_name, notice.params) == ("ann\0", {"why": PLAIN})
    request(ledger, "i1")
    ledger.write(instances.add_event, "i1", StartStep.REQUESTED, now=later(0), params={"why": HOSTILE})
    (event,) = ledger.read(instances.events_of, "i1")
    assert event.params == {"why": PLAIN}
    ledger.write(admin_settings.put, "drain", {"text": HOSTILE}, now=later(0), by="root\0")
    setting = ledger.read(admin_settings.all_of)["drain"]
    assert (setting.value, setting.set_by) == ({"text": PLAIN}, "root\0")
