"""What the cloud lists, whom its roles trust, which states it reports; and where no secret may appear."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from spawner.errors import NoConsent, NotAllowed
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import OVER, Block, NoticeKind, OrderState, StopReason
from spawner.paid.accounts.binding import account_of, problems_of
from spawner.paid.consent import service as consent_service
from spawner.paid.orders import service as order_service
from spawner.paid.orders.discovery import discover
from spawner.paid.paid import BINDING_LABEL, HUB_LABEL, ORDER_LABEL
from spawner.paid.providers import assume_role_checks
from spawner.paid.providers.base import ProviderError, Request
from tests.cloud.steer import ADA, PRINCIPAL
from tests.paid.make import SINCE, TOKEN
from tests.paid.world import CAP, HANGZHOU, HUB, SHANGHAI, SLACK, SMALL, World


@pytest.mark.parametrize("kind", [None, "close_after", "close_before", "error"])
async def test_a_start_is_sent_once(world: World, kind: str | None) -> None:
    link = world.link()
    order = await world.running(link)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    since = world.cloud.last()
    await world.run(1800, step=60)
    assert world.cloud.mutations(since=since) == [], "a stopped instance stays stopped"
    if kind:
        world.cloud.fault("StartInstance", kind, code="ValidationError", message="status does not support Start")
    world.place(await world.accept(await world.ask(link, order=world.order(order))))
    if kind in (None, "close_after"):
        await world.until_running(order)
        assert len(world.notices(NoticeKind.STOPPED)) == 1
    else:
        found = await world.until_state(order, OrderState.STOPPED)
        assert found.reason is StopReason.NOT_STARTED
        assert len(world.notices(NoticeKind.NOT_MADE)) == 1
    await world.run(600, step=20)
    assert len(world.cloud.calls(action="StartInstance")) == 1
    assert len(world.cloud_instances()) == 1


async def test_an_instance_that_was_stopped_twice_can_be_started(world: World) -> None:
    link = world.link()
    order = await world.running(link)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    world.stop(order)
    await world.run(60)
    world.place(await world.accept(await world.ask(link, order=world.order(order))))
    await world.until_running(order)


async def test_a_stop_of_an_instance_that_has_stopped_succeeds(world: World) -> None:
    order = await world.running()
    world.cloud.console(order.name, "stop")
    world.stop(order)
    found = await world.until_state(order, OrderState.STOPPED)
    assert found.reason is StopReason.ASKED
    assert world.notices(NoticeKind.STOP_FAILED) == []


def trust(**condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": [PRINCIPAL]}}
    return {"Version": "1", "Statement": [statement | ({"Condition": condition} if condition else {})]}


TOO_OPEN: dict[str, tuple[dict[str, Any], str]] = {
    "no external id": (trust(), assume_role_checks.TOO_OPEN_WITHOUT),
    "any external id": (trust(StringLike={"sts:ExternalId": ["*"]}), assume_role_checks.TOO_OPEN_WRONG),
    "any external id but one": (trust(StringNotEquals={"sts:ExternalId": ["x"]}), assume_role_checks.TOO_OPEN_WRONG),
    "another external id": (
        trust(StringEquals={"sts:ExternalId": ["freepool-of-another-user"]}),
        assume_role_checks.NOT_IN,
    ),
}


@pytest.mark.parametrize("case", TOO_OPEN)
async def test_a_role_with_an_open_trust_policy_is_a_problem(world: World, case: str) -> None:
    policy, problem = TOO_OPEN[case]
    link = world.link()
    world.cloud.role(link.external_id, name="Freepool-ann", trust=policy)
    probe = await world.provider.probe(account_of(world.binding(link), HANGZHOU))
    assert [template for template, _ in problems_of(link, probe)] == [problem]
    assert {call.action for call in world.cloud.calls()} == {"AssumeRole"}, "the probe only assumes roles"


async def test_a_correct_role_has_no_problem(world: World) -> None:
    link = world.link()
    probe = await world.provider.probe(account_of(world.binding(link), HANGZHOU))
    assert not problems_of(link, probe)
    assert [call.action for call in world.cloud.calls() if call.mutates] == []


async def test_another_user_can_neither_delete_nor_consent(world: World) -> None:
    order = await world.running()
    with pytest.raises(NotAllowed):
        world.ledger.write(order_service.want_delete, order.id, by="bob", now=world.time)
    consent = await world.ask(world.link("bob", account=ADA))
    with pytest.raises(NoConsent):
        await consent_service.accept(
            world.paid, consent.id, user_name="ann", user_since=SINCE, session=consent.session, token=TOKEN
        )


async def create_directly(world: World, link: object, count: int, region: str) -> None:
    account = account_of(link, region)  # type: ignore[arg-type]
    labels = {HUB_LABEL: HUB, ORDER_LABEL: "", BINDING_LABEL: link.id}  # type: ignore[attr-defined]
    await asyncio.gather(*(world.provider.create(account, Request(f"direct_{n}", SMALL, labels)) for n in range(count)))


async def test_discovery_reads_all_pages_of_all_regions(world: World) -> None:
    link = world.binding(world.link())
    await create_directly(world, link, 120, HANGZHOU)
    await create_directly(world, link, 2, SHANGHAI)
    world.pass_time(300)
    for region in (HANGZHOU, SHANGHAI):
        await discover(world.paid, link, region)
    found = world.ledger.read(orders.alive)
    assert len(found) == 122
    assert {order.state for order in found} == {OrderState.RECOVERED}
    assert len(world.notices(NoticeKind.RECOVERED)) == 122


async def test_a_failed_list_is_not_an_empty_one(world: World) -> None:
    order = await world.running()
    world.cloud.fault("ListInstances", "empty500", times=-1)
    await world.run(600, step=20)
    assert world.order(order).state is OrderState.ACTIVE
    since = world.cloud.last()
    another = await world.new_order(world.link("bob", account="2000000000005678"))
    await world.run(300, step=20)
    assert world.cloud.mutations(since=since) == [], "nothing is created before a list succeeds"
    assert world.order(another).state is OrderState.INTENDED


async def test_an_account_whose_list_hides_our_instances_is_blocked(world: World) -> None:
    link = world.link()
    world.cloud.account(ADA, sees_own=False)
    order = await world.new_order(link)
    found = await world.until_state(order, OrderState.STOPPED, seconds=600)
    assert found.reason is StopReason.LIST_BLIND
    assert world.binding(link).blocked is Block.LIST_BLIND
    assert len(world.notices(NoticeKind.LIST_BLIND)) == 1
    with pytest.raises(NotAllowed):
        await world.ask(world.binding(link))


ACTIONS = (
    "AssumeRole", "ListEcsSpecs", "ListInstances", "CreateInstance", "GetInstance", "CreateInstanceShutdownTimer",
    "CreateIdleInstanceCuller", "GetToken", "StopInstance", "StartInstance", "DeleteInstance",
)  # fmt: skip


async def fail_every_action(world: World) -> None:
    """Run instances from create to delete while each action fails once in each way, and request access URLs."""
    link = world.link()
    for kind in ("error", "html502", "xml", "close_after"):
        world.cloud.expire_sessions()
        for action in ACTIONS:
            world.cloud.fault(action, kind, status=500, code="ServiceUnavailable")
        order = await with_retries(world, lambda: world.new_order(link))
        await world.until(lambda one=order: world.order(one).remote_id is not None, seconds=900, step=15)
        await world.run(60, step=15)
        world.delete(order)
        await world.until(lambda one=order: world.order(one).state in OVER, seconds=900, step=15)
        world.cloud.clear_faults()
    order = await world.running(link)
    account, remote_id = account_of(world.binding(link), HANGZHOU), order.remote_id or ""
    for kind in ("error", "html502", "xml", "close_after"):
        world.cloud.fault("GetToken", kind, status=500, code="ServiceUnavailable")
    access = await with_retries(world, lambda: world.provider.access(account, remote_id))
    assert "http" not in repr(access)


async def with_retries(world: World, ask: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(9):
        with contextlib.suppress(ProviderError):
            return await ask()
        world.pass_time(1)
    return await ask()


async def test_no_secret_is_in_logs_or_ledger(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the platform's key, nor secrets of present and dropped sessions, nor access URLs."""
    caplog.set_level("DEBUG")
    await fail_every_action(world)
    failed = {call.action for call in world.cloud.calls() if call.fault}
    assert failed >= {"AssumeRole", "ListInstances", "CreateInstance", "GetInstance"}
    assert {"CreateInstanceShutdownTimer", "StopInstance", "GetToken"} <= failed
    secrets = {*world.cloud.ask("secrets"), *world.secrets()} - {""}
    assert len(secrets) > 20
    written = caplog.text + world.backup().read_bytes().decode("latin1")
    assert world.requested_names()[0] in written
    assert [secret for secret in secrets if secret in written] == []


async def test_external_ids_are_in_one_column_only(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "freepool")
    await fail_every_action(world)
    external_id = world.link("bob").external_id.removeprefix("freepool-")[:40]
    with closing(sqlite3.connect(world.backup())) as ledger:
        lines = list(ledger.iterdump())
    assert external_id in "".join(lines)
    elsewhere = [line for line in lines if not line.startswith('INSERT INTO "bindings"')]
    assert external_id not in "".join(elsewhere) + caplog.text
    bound = [line for line in lines if line not in elsewhere]
    assert "".join(bound).count(external_id) == len(bound)


@pytest.mark.parametrize("status", ["Dreaming", "Arrearge"])
async def test_an_unknown_state_counts_as_billed(world: World, status: str) -> None:
    order = await world.running()
    world.cloud.console(order.name, "status", status=status)
    await world.until(lambda: bool(world.notices(NoticeKind.STRANGE_STATE)))
    found = world.order(order)
    assert (found.state, found.raw_state) == (OrderState.ACTIVE, status)
    before = Decimal(found.spent or 0)
    await world.run(600, step=30)
    assert Decimal(world.order(order).spent or 0) > before, "it may cost money"
    assert len(world.notices(NoticeKind.STRANGE_STATE)) == 1
    await world.until(lambda: world.order(order).state is OrderState.STOPPED, seconds=5 * 3600, step=60)
    assert world.cloud.owes() <= CAP + SLACK


async def test_a_failed_instance_is_reported_and_can_be_deleted(world: World) -> None:
    order = await world.new_order()
    world.cloud.fault("CreateInstance", "fail_boot", code="NoStock", message="sold out")
    await world.until(lambda: bool(world.notices(NoticeKind.FAILED)))
    found = world.order(order)
    assert found.state is OrderState.ACTIVE
    assert "sold out" in (found.remote_reason or "")
    world.delete(order)
    await world.until_state(order, OrderState.GONE)
    assert world.cloud_instances() == []
