"""The contract of `spawner.paid.providers.base`, with the real SDK of each provider."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from spawner.errors import FreepoolError
from spawner.paid.providers import base
from spawner.paid.providers.base import Account, Capability, RemoteState, Request
from tests.paid.rigs import Rig

NAME = "fp01j8abcdefghjkmnpqrstvwxy"
LABELS = {"fp_platform": "p1", "fp_order": "o1"}


def request_for(rig: Rig, name: str = NAME) -> Request:
    """A request for the rig's instance type."""
    return Request(name=name, instance_type=rig.instance_type, labels=LABELS)


async def running(rig: Rig, account: Account, name: str = NAME) -> str:
    """Create an instance and wait until it runs. Returns its id."""
    remote_id = await rig.provider.create(account, request_for(rig, name))
    await rig.until(account, remote_id, RemoteState.RUNNING)
    return remote_id


READS: dict[str, Callable[[Rig, Account], Awaitable[object]]] = {
    "instance_types": lambda rig, account: rig.provider.instance_types(account),
    "probe": lambda rig, account: rig.provider.probe(account),
    "find": lambda rig, account: rig.provider.find(account, NAME),
    "owned": lambda rig, account: rig.provider.owned(account, LABELS),
}


async def test_instance_types_are_complete_and_prices_exact_or_absent(rig: Rig) -> None:
    """Sizes are in bytes, ids are unique, and no price is zero."""
    instance_types = await rig.provider.instance_types(rig.account())
    assert len({offered.id for offered in instance_types}) == len(instance_types) > 1
    assert all(offered.cpu > 0 and offered.memory >= 1024**3 for offered in instance_types)
    assert all(offered.price is None or offered.price.amount > 0 for offered in instance_types)
    assert any(offered.gpu_count and offered.gpu_memory and offered.gpu_memory >= 1024**3 for offered in instance_types)


async def test_an_instance_is_found_by_its_exact_name_and_its_labels(rig: Rig) -> None:
    account = rig.account()
    remote_id = await rig.provider.create(account, request_for(rig))
    found = await rig.provider.find(account, NAME)
    assert found is not None
    assert (found.id, found.name, found.instance_type) == (remote_id, NAME, rig.instance_type)
    assert found.region == account.region
    assert LABELS.items() <= dict(found.labels).items()
    assert await rig.provider.describe(account, remote_id) == found or found.state is not RemoteState.RUNNING
    assert await rig.provider.find(account, NAME[:-1]) is None
    assert [instance.id for instance in await rig.provider.owned(account, {"fp_platform": "p1"})] == [remote_id]
    assert await rig.provider.owned(account, {"fp_platform": "p2"}) == []
    assert await rig.provider.owned(account, {**LABELS, "more": "x"}) == []


async def test_a_name_is_created_once(rig: Rig) -> None:
    account = rig.account()
    await rig.provider.create(account, request_for(rig))
    for _ in range(2):
        with pytest.raises(base.AlreadyExists):
            await rig.provider.create(account, request_for(rig))
    assert rig.made(NAME) == 1


async def test_an_instance_is_created_stopped_started_and_deleted(rig: Rig) -> None:
    """Afterwards describe does not find it, and find returns None."""
    account, cloud = rig.account(), rig.provider
    remote_id = await running(rig, account)
    await cloud.stop(account, remote_id)
    assert not (await rig.until(account, remote_id, RemoteState.STOPPED)).may_bill
    await cloud.start(account, remote_id)
    assert (await rig.until(account, remote_id, RemoteState.RUNNING)).may_bill
    with pytest.raises(base.Conflict):
        await cloud.delete(account, remote_id)
    await cloud.stop(account, remote_id)
    await rig.until(account, remote_id, RemoteState.STOPPED)
    await cloud.delete(account, remote_id)
    rig.pass_time()
    with pytest.raises(base.NotFound):
        await cloud.describe(account, remote_id)
    assert await cloud.find(account, NAME) is None
    assert rig.made(NAME) == 0


@pytest.mark.parametrize("verb", ["describe", "start", "stop", "delete"])
async def test_an_unknown_instance_is_not_found(rig: Rig, verb: str) -> None:
    account = rig.account()
    with pytest.raises(base.NotFound):
        await getattr(rig.provider, verb)(account, "dsw-neverwas")


@pytest.mark.parametrize("kind", ["lost_after", "page_after"])
async def test_a_create_whose_answer_is_lost_leaves_one_instance(rig: Rig, kind: str) -> None:
    """The outcome is unknown, find shows the instance, and a second create is refused."""
    account = rig.account()
    rig.fail("create", kind)
    with pytest.raises(base.OutcomeUnknown):
        await rig.provider.create(account, request_for(rig))
    found = await rig.provider.find(account, NAME)
    assert found is not None
    with pytest.raises(base.AlreadyExists):
        await rig.provider.create(account, request_for(rig))
    assert rig.made(NAME) == 1


@pytest.mark.parametrize("kind", ["lost_before", "page_before", "server", "redirect"])
async def test_a_create_lost_before_the_cloud_acted_has_an_unknown_outcome_too(rig: Rig, kind: str) -> None:
    """The provider does not retry. Find shows no instance, and a second create succeeds."""
    account = rig.account()
    rig.fail("create", kind)
    with pytest.raises(base.OutcomeUnknown):
        await rig.provider.create(account, request_for(rig))
    assert len(rig.mutations()) == 1
    assert await rig.provider.find(account, NAME) is None
    await rig.provider.create(account, request_for(rig))
    assert rig.made(NAME) == 1


@pytest.mark.parametrize("verb", ["start", "stop", "delete"])
@pytest.mark.parametrize("kind", ["lost_after", "page_after", "server"])
async def test_no_change_is_sent_twice(rig: Rig, verb: str, kind: str) -> None:
    """The outcome of a change whose answer is lost is unknown, and the caller decides."""
    account = rig.account()
    remote_id = await running(rig, account)
    if verb != "stop":
        await rig.provider.stop(account, remote_id)
        await rig.until(account, remote_id, RemoteState.STOPPED)
    before = len(rig.mutations())
    rig.fail(verb, kind)
    with pytest.raises(base.OutcomeUnknown):
        await getattr(rig.provider, verb)(account, remote_id)
    assert len(rig.mutations()) == before + 1


REFUSALS = {
    "throttled": base.Throttled,
    "denied": base.AuthLost,
    "skewed": base.ClockSkew,
    "capacity": base.NoCapacity,
    "limit": base.Insufficient,
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_each_refusal_has_its_own_error(rig: Rig, kind: str) -> None:
    account = rig.account()
    rig.fail("create", kind)
    with pytest.raises(REFUSALS[kind]) as caught:
        await rig.provider.create(account, request_for(rig))
    assert caught.value.code
    assert caught.value.message
    assert rig.made(NAME) == 0


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "page_after", "server", "redirect"])
async def test_a_failed_read_is_neither_empty_nor_not_found(rig: Rig, kind: str) -> None:
    account = rig.account()
    remote_id = await rig.provider.create(account, request_for(rig))
    reads = {
        "describe": lambda: rig.provider.describe(account, remote_id),
        "list": lambda: rig.provider.owned(account, LABELS),
    }
    for verb, read in reads.items():
        rig.fail(verb, kind)
        with pytest.raises(base.Unavailable):
            await read()
    rig.fail("describe", kind)
    rig.fail("list", kind)
    with pytest.raises(base.Unavailable):
        await rig.provider.find(account, NAME)


async def test_an_expired_session_is_replaced_once_per_call(rig: Rig) -> None:
    """The call then succeeds, and takes effect once; a second expiry is an error."""
    account = rig.account()
    rig.fail("create", "expired")
    await rig.provider.create(account, request_for(rig))
    assert (rig.made(NAME), rig.assumed()) == (1, 2)
    rig.fail("describe", "expired", times=2)
    with pytest.raises(base.Unavailable):
        await rig.provider.describe(account, NAME)
    assert rig.assumed() == 4


async def test_concurrent_calls_share_a_session(rig: Rig) -> None:
    """One session for reads and one for changes."""
    account = rig.account()
    await asyncio.gather(*(rig.provider.owned(account, LABELS) for _ in range(20)))
    assert rig.assumed() == 1
    await rig.provider.create(account, request_for(rig))
    assert rig.assumed() == 2


async def test_a_removed_role_means_lost_access(rig: Rig) -> None:
    """For reads and for changes."""
    account = rig.account(trust="none")
    for call in (rig.provider.owned(account, LABELS), rig.provider.create(account, request_for(rig))):
        with pytest.raises(base.AuthLost):
            await call


async def test_a_correct_binding_passes_the_probe(rig: Rig) -> None:
    account = rig.account()
    probe = await rig.provider.probe(account)
    assert (probe.account_id, list(probe.problems), list(probe.remarks)) == (account.account_id, [], [])
    assert rig.mutations() == []


async def test_a_role_without_an_external_id_is_refused(rig: Rig) -> None:
    """Anyone who knows its name could have Freepool assume it."""
    [(template, params)] = (await rig.provider.probe(rig.account(trust="open"))).problems
    assert "too open" in template.format(**params)


async def test_a_role_of_another_account_is_refused(rig: Rig) -> None:
    """The user has signed in to another account."""
    ada, li = rig.account(who="ada"), rig.account(who="li")
    probe = await rig.provider.probe(replace(ada, role=li.role))
    [(template, params)] = probe.problems
    assert li.account_id in template.format(**params)


async def test_a_missing_role_is_a_problem_and_not_an_exception(rig: Rig) -> None:
    account = rig.account(trust="none")
    [(template, params)] = (await rig.provider.probe(account)).problems
    assert account.role in template.format(**params)


async def test_a_probe_that_cannot_read_is_unavailable(rig: Rig) -> None:
    """Without an answer the role is neither good nor bad."""
    account = rig.account()
    rig.fail("list", "page_before")
    with pytest.raises(base.Unavailable):
        await rig.provider.probe(account)


async def test_accounts_and_regions_are_separate(rig: Rig) -> None:
    ada, li, far = rig.account(who="ada"), rig.account(who="li"), rig.account(who="ada", region=1)
    await rig.provider.create(ada, request_for(rig))
    for elsewhere in (li, far):
        assert await rig.provider.find(elsewhere, NAME) is None
        assert await rig.provider.owned(elsewhere, LABELS) == []
        await rig.provider.create(elsewhere, request_for(rig))
    assert rig.made(NAME) == 3


async def test_an_unknown_region_is_refused_without_a_call(rig: Rig) -> None:
    """The region of an order may have been removed from the settings."""
    account = replace(rig.account(), region="nowhere-1")
    for call in (
        rig.provider.create(account, request_for(rig)),
        rig.provider.probe(account),
        rig.provider.instance_types(account),
    ):
        with pytest.raises(base.Rejected):
            await call
    assert (rig.assumed(), rig.mutations()) == (0, [])


async def test_all_pages_are_read(rig: Rig) -> None:
    """130 instances, each listed once."""
    account = rig.account()
    names = [f"fp{number:04d}" for number in range(130)]
    for name in names:
        await rig.provider.create(account, request_for(rig, name))
    found = await rig.provider.owned(account, LABELS)
    assert sorted(instance.name for instance in found) == names
    assert await rig.provider.find(account, "fp0129") is not None


@pytest.mark.parametrize("read", READS)
async def test_reads_send_no_mutating_call(rig: Rig, read: str) -> None:
    await READS[read](rig, rig.account())
    assert rig.mutations() == []


async def test_each_access_url_is_new_and_hidden_in_its_repr(rig: Rig) -> None:
    account = rig.account()
    remote_id = await running(rig, account)
    first, second = [await rig.provider.access(account, remote_id) for _ in range(2)]
    assert first.url != second.url
    assert first.url not in repr(first)


async def test_auto_stop_is_replaced_or_not_offered(rig: Rig) -> None:
    """With the capability, a second call replaces the first; without it, the call is rejected."""
    account = rig.account()
    remote_id = await running(rig, account)
    if Capability.AUTO_STOP not in rig.provider.capabilities:
        with pytest.raises(base.Rejected):
            await rig.provider.set_auto_stop(account, remote_id, stop_in=60, idle=None)
        return
    for seconds in (7200, 3600):
        await rig.provider.set_auto_stop(account, remote_id, stop_in=seconds, idle=1800)
        stops_at = (await rig.provider.describe(account, remote_id)).stops_at
        assert stops_at is not None
        assert abs(stops_at - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(seconds=30)


@pytest.mark.parametrize("kind", ["lost_after", "page_after", "denied", "throttled", "server", "redirect", "limit"])
async def test_no_error_and_no_log_contains_a_secret(rig: Rig, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in text, repr, attributes and context of errors, nor in logs of any level."""
    caplog.set_level(logging.DEBUG)
    account = rig.account()
    remote_id = await running(rig, account)
    await rig.provider.access(account, remote_id)
    error_texts = []
    for verb, call in {
        "create": lambda: rig.provider.create(account, request_for(rig, "fpother")),
        "describe": lambda: rig.provider.describe(account, remote_id),
        "access": lambda: rig.provider.access(account, remote_id),
    }.items():
        rig.fail(verb, kind)
        with pytest.raises(FreepoolError) as caught:
            await call()
        error: BaseException | None = caught.value
        while error is not None:
            error_texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
            assert error.__cause__ is None
            error = error.__context__
    secrets = rig.secrets()
    assert len(secrets) >= 3
    seen = "\n".join(
        [*error_texts, caplog.text, *(repr(record.__dict__) for record in caplog.records), repr(rig.provider)]
    )
    assert [secret for secret in secrets if secret in seen] == []


@pytest.mark.parametrize("rig", ["dsw apart", "sagemaker"], indirect=True)
async def test_the_event_loop_is_not_blocked(rig: Rig) -> None:
    """Twenty concurrent calls block it for less than 50 ms. Retried, because the machine may be busy."""
    account = rig.account()
    remote_id = await running(rig, account)
    worst = []
    for _ in range(8):
        worst.append(await _worst_gap(rig, account, remote_id))
        if worst[-1] < 0.05:
            return
    raise AssertionError(worst)


async def _worst_gap(rig: Rig, account: Account, remote_id: str) -> float:
    loop, gaps = asyncio.get_running_loop(), [0.0]
    done = asyncio.Event()

    async def watch() -> None:
        last = loop.time()
        while not done.is_set():
            await asyncio.sleep(0.002)  # the measurement is how late this returns
            gaps.append(loop.time() - last - 0.002)
            last = loop.time()

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(rig.provider.describe(account, remote_id) for _ in range(20)))
    done.set()
    await watcher
    return max(gaps)
