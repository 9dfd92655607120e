"""Rows 20 to 25: what the cloud shows, who may see it, and what nobody may. See `test_order_failures`."""

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
from tests.paid.make import TOKEN
from tests.paid.world import CAP, HANGZHOU, HUB, SHANGHAI, SLACK, SMALL, World


@pytest.mark.parametrize("kind", [None, "close_after", "close_before", "error"])
async def test_row_20_a_start_is_never_asked_twice(world: World, kind: str | None) -> None:
    link = world.link()
    order = await world.running(link)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    since = world.cloud.last()
    await world.run(1800, step=60)
    assert world.cloud.mutations(since=since) == [], "nothing starts again by itself"
    if kind:
        world.cloud.fault("StartInstance", kind, code="ValidationError", message="status does not support Start")
    world.place(await world.accept(await world.ask(link, order=world.order(order))))
    if kind in (None, "close_after"):
        await world.settles(order)
        assert len(world.notices(NoticeKind.STOPPED)) == 1
    else:
        found = await world.until_state(order, OrderState.STOPPED)
        assert found.reason is StopReason.NOT_STARTED
        assert len(world.notices(NoticeKind.NOT_MADE)) == 1
    await world.run(600, step=20)
    assert len(world.cloud.calls(action="StartInstance")) == 1
    assert len(world.billed()) == 1


async def test_row_20_what_is_stopped_twice_can_be_started(world: World) -> None:
    link = world.link()
    order = await world.running(link)
    world.stop(order)
    await world.until_state(order, OrderState.STOPPED)
    world.stop(order)
    await world.run(60)
    world.place(await world.accept(await world.ask(link, order=world.order(order))))
    await world.settles(order)


async def test_row_20_a_stop_that_comes_too_late_is_decided_by_a_look(world: World) -> None:
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
    "asks for none": (trust(), assume_role_checks.TOO_OPEN_WITHOUT),
    "takes any": (trust(StringLike={"sts:ExternalId": ["*"]}), assume_role_checks.TOO_OPEN_WRONG),
    "takes all but one": (trust(StringNotEquals={"sts:ExternalId": ["x"]}), assume_role_checks.TOO_OPEN_WRONG),
    "asks for another": (
        trust(StringEquals={"sts:ExternalId": ["freepool-of-somebody-else"]}),
        assume_role_checks.NOT_IN,
    ),
}


@pytest.mark.parametrize("case", TOO_OPEN)
async def test_row_21_a_role_that_trusts_too_much(world: World, case: str) -> None:
    policy, problem = TOO_OPEN[case]
    link = world.link()
    world.cloud.role(link.external_id, name="Freepool-ann", trust=policy)
    probe = await world.provider.probe(account_of(world.binding(link), HANGZHOU))
    assert [template for template, _ in problems_of(link, probe)] == [problem]
    assert {call.action for call in world.cloud.calls()} == {"AssumeRole"}, "nothing but the doors was tried"


async def test_row_21_a_role_as_it_should_be(world: World) -> None:
    link = world.link()
    probe = await world.provider.probe(account_of(world.binding(link), HANGZHOU))
    assert not problems_of(link, probe)
    assert [call.action for call in world.cloud.calls() if call.mutates] == []


async def test_row_22_nobody_elses(world: World) -> None:
    order = await world.running()
    with pytest.raises(NotAllowed):
        world.ledger.write(order_service.want_delete, order.id, person_id="bob", by="bob", now=world.time)
    consent = await world.ask(world.link("bob", account=ADA))
    with pytest.raises(NoConsent):
        await consent_service.accept(world.paid, consent.id, person_id="ann", session=consent.session, token=TOKEN)


async def made_by_hand(world: World, link: object, count: int, region: str) -> None:
    account = account_of(link, region)  # type: ignore[arg-type]
    labels = {HUB_LABEL: HUB, ORDER_LABEL: "", BINDING_LABEL: link.id}  # type: ignore[attr-defined]
    await asyncio.gather(
        *(world.provider.create(account, Request(f"by_hand_{n}", SMALL, labels)) for n in range(count))
    )


async def test_row_23_all_pages_and_regions_are_seen(world: World) -> None:
    link = world.binding(world.link())
    await made_by_hand(world, link, 120, HANGZHOU)
    await made_by_hand(world, link, 2, SHANGHAI)
    world.pass_time(300)
    for region in (HANGZHOU, SHANGHAI):
        await discover(world.paid, link, region)
    found = world.ledger.read(orders.alive)
    assert len(found) == 122
    assert {one.state for one in found} == {OrderState.RECOVERED}
    assert len(world.notices(NoticeKind.RECOVERED)) == 122


async def test_row_23_a_list_that_fails_is_not_empty(world: World) -> None:
    order = await world.running()
    world.cloud.fault("ListInstances", "empty500", times=-1)
    await world.run(600, step=20)
    assert world.order(order).state is OrderState.ACTIVE
    since = world.cloud.last()
    another = await world.order_one(world.link("bob", account="2000000000005678"))
    await world.run(300, step=20)
    assert world.cloud.mutations(since=since) == [], "nothing is made before we have looked"
    assert world.order(another).state is OrderState.INTENDED


async def test_row_23_a_list_that_does_not_show_what_we_made(world: World) -> None:
    link = world.link()
    world.cloud.account(ADA, sees_own=False)
    order = await world.order_one(link)
    found = await world.until_state(order, OrderState.STOPPED, seconds=600)
    assert found.reason is StopReason.LIST_BLIND
    assert world.binding(link).blocked is Block.LIST_BLIND
    assert len(world.notices(NoticeKind.LIST_BLIND)) == 1
    with pytest.raises(NotAllowed):
        await world.ask(world.binding(link))


EVERYTHING = (
    "AssumeRole", "ListEcsSpecs", "ListInstances", "CreateInstance", "GetInstance", "CreateInstanceShutdownTimer",
    "CreateIdleInstanceCuller", "GetToken", "StopInstance", "StartInstance", "DeleteInstance",
)  # fmt: skip


async def everything_goes_wrong(world: World) -> None:
    """Some whole lives, in which each call fails once in each way that has words of its own, and ways in are minted."""
    link = world.link()
    for kind in ("error", "html502", "xml", "close_after"):
        world.cloud.expire_sessions()
        for action in EVERYTHING:
            world.cloud.fault(action, kind, status=500, code="ServiceUnavailable")
        order = await again_and_again(world, lambda: world.order_one(link))
        await world.until(lambda one=order: world.order(one).remote_id is not None, seconds=900, step=15)
        await world.run(60, step=15)
        world.delete(order)
        await world.until(lambda one=order: world.order(one).state in OVER, seconds=900, step=15)
        world.cloud.clear_faults()
    order = await world.running(link)
    account, remote_id = account_of(world.binding(link), HANGZHOU), order.remote_id or ""
    for kind in ("error", "html502", "xml", "close_after"):
        world.cloud.fault("GetToken", kind, status=500, code="ServiceUnavailable")
    access = await again_and_again(world, lambda: world.provider.access(account, remote_id))
    assert "http" not in repr(access)


async def again_and_again(world: World, ask: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(9):
        with contextlib.suppress(ProviderError):
            return await ask()
        world.pass_time(1)
    return await ask()


async def test_row_24_no_secret_is_written_anywhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Not the platform's key, no session's, also of those that were dropped, and no way in."""
    caplog.set_level("DEBUG")
    await everything_goes_wrong(world)
    failed = {call.action for call in world.cloud.calls() if call.fault}
    assert failed >= {"AssumeRole", "ListInstances", "CreateInstance", "GetInstance"}
    assert {"CreateInstanceShutdownTimer", "StopInstance", "GetToken"} <= failed
    secrets = {*world.cloud.ask("secrets"), *world.secrets()} - {""}
    assert len(secrets) > 20
    everything = caplog.text + world.backup().read_bytes().decode("latin1")
    assert world.creates()[0] in everything
    assert [secret for secret in secrets if secret in everything] == []


async def test_row_24_external_ids_are_in_one_column_only(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "freepool")
    await everything_goes_wrong(world)
    external_id = world.link("bob").external_id.removeprefix("freepool-")[:40]
    with closing(sqlite3.connect(world.backup())) as ledger:
        lines = list(ledger.iterdump())
    assert external_id in "".join(lines)
    elsewhere = [line for line in lines if not line.startswith('INSERT INTO "bindings"')]
    assert external_id not in "".join(elsewhere) + caplog.text
    bound = [line for line in lines if line not in elsewhere]
    assert "".join(bound).count(external_id) == len(bound)


@pytest.mark.parametrize("status", ["Dreaming", "Arrearge"])
async def test_row_25_a_state_that_nobody_has_seen(world: World, status: str) -> None:
    order = await world.running()
    world.cloud.console(order.name, "status", status=status)
    await world.until(lambda: bool(world.notices(NoticeKind.STRANGE_STATE)))
    found = world.order(order)
    assert (found.state, found.raw_state) == (OrderState.ACTIVE, status)
    before = Decimal(found.spent or 0)
    await world.run(600, step=30)
    assert Decimal(world.order(order).spent or 0) > before, "it may bill"
    assert len(world.notices(NoticeKind.STRANGE_STATE)) == 1
    await world.until(lambda: world.order(order).state is OrderState.STOPPED, seconds=5 * 3600, step=60)
    assert world.cloud.owes() <= CAP + SLACK


async def test_row_25_failed_asks_for_its_end(world: World) -> None:
    order = await world.order_one()
    world.cloud.fault("CreateInstance", "fail_boot", code="NoStock", message="sold out")
    await world.until(lambda: bool(world.notices(NoticeKind.FAILED)))
    found = world.order(order)
    assert found.state is OrderState.ACTIVE
    assert "sold out" in (found.remote_reason or "")
    world.delete(order)
    await world.until_state(order, OrderState.GONE)
    assert world.billed() == []
