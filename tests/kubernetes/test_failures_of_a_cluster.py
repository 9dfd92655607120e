"""Failures on a cluster: the user reads a clear message, and ledger and cluster agree again soon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import aiohttp
import httpx
import pytest

from spawner.ledger import EndReason, Instance, StartStep, leases
from spawner.ledger.pool import instances
from spawner.pool.build import utc_now
from tests.backends.notebook import KernelDied, Notebook
from tests.hub.queue_users import alive
from tests.kubernetes.conftest import Cluster, wait_usable, wait_warm
from tests.kubernetes.gate import Gate
from tests.kubernetes.node import Node
from tests.kubernetes.platform import Platform
from tests.stack import eventually

AWAY = 10.0
"""Seconds without the API server: longer than the backend's view of the pods counts as fresh."""


@pytest.fixture
def gate(shared: Cluster) -> Gate:
    """The gate before the API server."""
    return shared.gate


@pytest.fixture
def platform(shared: Cluster) -> Iterator[Platform]:
    """The shared Freepool. After each test all instances are stopped, and ledger and cluster agree."""
    found = Platform(shared.stack, shared.pool)
    yield found
    shared.gate.open()
    for instance in shared.stack.unended():
        if instance.state != "stopping":
            found.stop(instance.user_name)
    eventually(
        lambda: not any(instance.image == "light" for instance in shared.stack.unended()), seconds=120, what="the end"
    )
    found.wait_for_order()


def running(platform: Platform, user: str, **options: str) -> Instance:
    """Start an instance and wait until it runs."""
    platform.stack.add_user(user)
    answer = platform.stack.start(user, **options)
    assert answer.status_code in (201, 202), answer.text
    return eventually(lambda: is_running(platform, user), seconds=60, what="a running instance")


def is_running(platform: Platform, user: str) -> Instance | None:
    instance = platform.instance(user)
    return instance if instance and instance.state == "running" else None


def steps(platform: Platform, instance_id: str) -> list[StartStep]:
    """Recorded steps of a start."""
    return [event.step for event in platform.stack.ledger.read(instances.events_of, instance_id)]


def answers(platform: Platform, user: str, token: str) -> bool:
    """Whether a user's notebook answers through the proxy."""
    url = f"{platform.stack.url}/user/{user}/api/status"
    return httpx.get(url, headers={"Authorization": f"token {token}"}, timeout=10).status_code == 200


# --- the API server --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["shut", "stall"])
def test_without_the_api_server_warm_slots_are_assigned_and_the_rest_is_retried(
    how: str, platform: Platform, gate: Gate
) -> None:
    stack = platform.stack
    early, late, meanwhile = f"early-{how}", f"late-{how}", f"meanwhile-{how}"
    first = running(platform, early)
    token = stack.user_token(early)
    wait_warm(stack)
    stack.add_user(late)
    platform.wait_for_order()
    getattr(gate, how)()
    closed = time.monotonic()
    running(platform, meanwhile)
    took = time.monotonic() - closed
    print(f"\n{how}: a warm start without the API server took {took:.1f} s")
    assert took < 8
    assert answers(platform, early, token)
    starting = threading.Thread(target=stack.start, args=(late,), kwargs={"flavor": "made"})
    starting.start()
    asked = eventually(lambda: platform.instance(late), what="the row")
    eventually(
        lambda: StartStep.POOL_AWAY in steps(platform, asked.id), seconds=20, what="the news that the pool is away"
    )
    said = [line["text"] for line in platform.state(late)["instance"]["progress"]]
    assert said[-1] == "The platform is not responding. Trying again"
    platform.stop(early)
    while time.monotonic() - closed < AWAY:
        assert platform.instance(meanwhile), "unknown is not stopped"
        time.sleep(0.5)
    assert first.slot_id in platform.pods(), "nobody could be told yet"
    assert platform.instance(late).state == "starting"  # type: ignore[union-attr]
    gate.open()
    opened = time.monotonic()
    starting.join(60)
    eventually(lambda: is_running(platform, late), seconds=60, what="the cold start")
    eventually(lambda: first.slot_id not in platform.pods(), seconds=60, what="the end that was remembered")
    platform.wait_for_order()
    print(f"{how}: in order {time.monotonic() - opened:.1f} s after it came back")
    eventually(lambda: _is_assigned(platform, meanwhile), seconds=30, what="the pod's own deadline, made up for")


def _is_assigned(platform: Platform, user: str) -> bool:
    instance = platform.instance(user)
    assert instance is not None
    pod = platform.pods()[instance.slot_id or ""]
    return "freepool/assigned" in pod["metadata"]["labels"] and "activeDeadlineSeconds" in pod["spec"]


# --- starts that cannot succeed ---------------------------------------------------------------------------------------


def test_a_flavor_that_no_node_has_room_for_is_queued(platform: Platform) -> None:
    platform.stack.add_user("dreamer")
    assert platform.flavor("dreamer", "huge")["available"] == 2
    began = time.monotonic()
    refused = platform.refused("dreamer", flavor="huge").in_words()
    assert time.monotonic() - began < 15
    assert refused.code == "queued"
    assert refused.message.startswith("No server has capacity for huge right now. You are number 1 in the queue.")
    assert "Insufficient" in refused.details
    assert platform.flavor("dreamer", "huge")["available"] == 0, "the desk has learned it"
    assert "No server" in platform.state("dreamer")["ticket"]["reason"]
    platform.stack.leave_line("dreamer")
    assert platform.state("dreamer")["ticket"] is None
    platform.wait_for_order()


def test_a_start_beyond_the_quota_is_queued(platform: Platform) -> None:
    admin, name = platform.pool.admin, platform.pool.name
    running(platform, "quick")
    platform.stack.add_user("slow")
    wait_warm(platform.stack)
    platform.wait_for_order(all_over=True)
    count = len(platform.pods())
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"namespace": name, "name": "small"}}
    admin.apply({**quota, "spec": {"hard": {"pods": str(count)}}})
    try:
        eventually(
            lambda: admin.json("get", "resourcequota", "small", "-n", name).get("status", {}).get("used"), what="quota"
        )
        refused = platform.refused("slow", flavor="made").in_words()
        assert refused.code == "queued"
        assert refused.message.startswith("No server has capacity for made right now. You are number 1 in the queue.")
        assert "exceeded quota" in refused.details
        platform.wait_for_order()
        assert len(platform.pods()) == count
    finally:
        admin.kubectl("delete", "resourcequota", "small", "-n", name)
    eventually(lambda: is_running(platform, "slow"), seconds=120, what="the turn of who waited for the quota")


# --- lost pods --------------------------------------------------------------------------------------------------------


def test_an_evicted_instance_is_lost_and_its_user_reads_so(platform: Platform) -> None:
    instance = running(platform, "guest")
    assert instance.slot_id
    platform.evict(instance.slot_id)
    eventually(lambda: platform.instance("guest") is None, seconds=30, what="the end")
    last = platform.state("guest")["last"]
    assert last["text"] == (
        "Your notebook was lost because of a problem on our side. We are sorry. Its files could not be saved."
    )
    eventually(lambda: platform.stack.api("GET", "/users/guest").json()["servers"] == {}, what="the hub's notice")
    platform.wait_for_order()


def _json(value: object) -> str:
    import json

    return json.dumps(value)


BAD_WORDS = r"""
import os, signal
with open('/dev/termination-log', 'wb') as log:
    log.write(b'a\0b\x1b[31mred')
os.kill(os.getppid(), signal.SIGKILL)
"""


def test_a_termination_message_that_no_database_can_store_is_cleaned(platform: Platform) -> None:
    """Like `printf 'a\\0b' >/dev/termination-log; kill -9 1` in a terminal."""
    stack = platform.stack
    instance = running(platform, "hostile")
    wait_usable(stack, "hostile")

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            notebook = Notebook(session, f"{stack.url}/user/hostile/", stack.user_token("hostile"), "")
            with contextlib.suppress(KernelDied, TimeoutError, asyncio.TimeoutError, aiohttp.ClientError):
                await notebook.run(BAD_WORDS, seconds=20)

    asyncio.run(run())
    eventually(lambda: platform.instance("hostile") is None, seconds=60, what="its end")
    over = stack.ledger.read(instances.get, instance.id)
    assert (over.state, over.reason) == ("ended", EndReason.CRASHED)
    assert over.detail is not None
    assert over.detail.endswith("a bred")
    assert over.slot_id not in platform.pods()
    assert platform.stack.start("hostile").status_code in (201, 202), "it can start again"


def test_a_pod_that_is_lost_between_ready_and_claim_is_replaced_within_seconds(platform: Platform) -> None:
    """The steward is suspended, so that it cannot notice the loss."""
    stack = platform.stack
    stack.add_user("unlucky")
    wait_warm(stack)
    platform.wait_for_order()
    (steward,) = stack.pids("steward")
    os.kill(steward, signal.SIGSTOP)
    try:
        for slot in stack.slots():
            if slot.state == "warm":
                platform.pool.admin.kubectl("delete", "pod", f"freepool-{slot.id}", "-n", platform.pool.name)
        began = time.monotonic()
        instance = running(platform, "unlucky")
        assert time.monotonic() - began < 20
        assert StartStep.RETRYING in steps(platform, instance.id)
    finally:
        os.kill(steward, signal.SIGCONT)
    platform.wait_for_order()


def test_a_pod_that_does_not_end_delays_no_other_start(platform: Platform) -> None:
    admin, name, stack = platform.pool.admin, platform.pool.name, platform.stack
    pod = f"freepool-{running(platform, 'held').slot_id}"
    wait_warm(stack)

    def hold(*by: str) -> None:
        change = _json({"metadata": {"finalizers": list(by)}})
        admin.kubectl("patch", "pod", pod, "-n", name, "--type=merge", f"--patch={change}")

    hold("freepool.test/held")
    try:
        platform.stop("held")
        eventually(lambda: platform.instance("held").state == "stopping", what="the stop")  # type: ignore[union-attr]
        time.sleep(2)  # one or two reconcile rounds, in which the steward tries to destroy it
        began = time.monotonic()
        running(platform, "next")
        wait_warm(stack)
        (slot_id,) = (slot.id for slot in stack.slots() if slot.state == "warm")
        admin.kubectl("delete", "pod", f"freepool-{slot_id}", "-n", name, "--wait=false")
        eventually(
            lambda: any(slot.state == "warm" and slot.id != slot_id for slot in stack.slots()), what="another warm one"
        )
        took = time.monotonic() - began
        print(f"\nbeside a pod that does not end: a start and two warm slots in {took:.1f} s")
        assert took < 20
        assert platform.instance("held"), "it is not forgotten"
    finally:
        hold()
    eventually(lambda: platform.instance("held") is None, seconds=60, what="its end")
    platform.wait_for_order()


@pytest.mark.parametrize(("image", "reason"), [("missing", "ErrImageNeverPull"), ("misspelt", "InvalidImageName")])
def test_an_image_that_cannot_be_pulled_fails_the_start(image: str, reason: str, platform: Platform) -> None:
    platform.stack.add_user(image)
    refused = platform.refused(image, image=image).in_words()
    assert refused.code == "start_failed"
    assert refused.message == f"The image {image} cannot be downloaded right now."
    assert refused.next == "Choose another image, or contact the administrator."
    assert reason in refused.details
    platform.wait_for_order()
    instance = platform.instance(image)
    assert instance is None or (instance.reason is EndReason.START_FAILED and reason in (instance.detail or ""))


# --- the platform's own processes ------------------------------------------------------------------------------------

STEWARDS = [("made", StartStep.SLOT_CREATING), ("made", StartStep.CLAIMED), ("waits", StartStep.SLOT_WARM)]
"""Flavors, made when asked for or kept warm, and steps of their starts at which the steward has a part."""
HUBS = [("made", StartStep.REQUESTED), ("made", StartStep.RUNNING), ("waits", StartStep.CLAIMED)]
"""All others. A hub that is killed together with the steward starts twice as long as the steward, so the steward is
there again while the hub is away, as it is where the hub alone is killed."""


@pytest.mark.parametrize(
    ("victims", "moments"),
    [(("hub",), HUBS), (("steward",), STEWARDS), (("hub", "steward"), STEWARDS)],
    ids=["hub", "steward", "hub+steward"],
)
def test_a_process_killed_at_any_step_of_a_start_recovers(
    victims: tuple[str, ...], moments: list[tuple[str, StartStep]], platform: Platform
) -> None:
    stack = platform.stack
    worst = 0.0
    for number, (flavor, step) in enumerate(moments):
        user = f"mid-{'-'.join(victims)}-{number}"
        stack.add_user(user)
        if flavor == "waits":
            wait_warm(stack)
        starting = threading.Thread(target=_start_ignoring_errors, args=(platform, user, flavor))
        starting.start()
        _wait_for_step(platform, user, step)
        for victim in victims:
            stack.kill(victim)
        killed = time.monotonic()
        starting.join()
        eventually(lambda: _hub_answers(platform), seconds=60, what="the hub")
        platform.wait_for_order(120)
        worst = max(worst, time.monotonic() - killed)
        if "hub" not in victims:
            assert is_running(platform, user), f"the start went on without its steward ({step})"
        eventually(lambda user=user: _is_agreed(platform, user), seconds=120, what=f"one word ({flavor}, {step})")
        if is_running(platform, user):
            platform.stop(user)
    print(f"\n{'+'.join(victims)} killed: in order after {worst:.1f} s at most")


def _is_agreed(platform: Platform, user: str) -> bool:
    """Hub and ledger agree about a user, and no ticket is live: a lost start is tried again."""
    has_tickets = bool(alive(platform.stack))
    server = platform.stack.api("GET", f"/users/{user}").json()["servers"].get("")
    return not has_tickets and bool(server and server["ready"]) == bool(is_running(platform, user))


def _wait_for_step(platform: Platform, user: str, step: StartStep) -> None:
    ledger = platform.stack.ledger
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for instance in ledger.read(instances.unended, platform.stack.person_of(user)):
            if any(event.step == step for event in ledger.read(instances.events_of, instance.id)):
                return
        time.sleep(0.002)  # the exact step is what this test is about
    raise AssertionError(f"{step} did not come")


def _start_ignoring_errors(platform: Platform, user: str, flavor: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        platform.stack.start(user, flavor=flavor)


def _hub_answers(platform: Platform) -> bool:
    try:
        return httpx.get(f"{platform.stack.url}/hub/api/", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_only_one_of_two_stewards_acts(platform: Platform) -> None:
    stack = platform.stack
    second = subprocess.Popen(
        [sys.executable, "-m", "spawner.cli", "steward"],
        env={**os.environ, "FREEPOOL_SETTINGS": str(stack.state / "settings.json")},
        stderr=subprocess.DEVNULL,
    )
    ledger = stack.ledger
    holders, most = set(), 0
    try:
        stack.add_user("between")
        for _ in range(2):
            wait_warm(stack)
            assert stack.start("between").status_code in (201, 202)
            eventually(lambda: is_running(platform, "between"), what="it")
            holders.add(ledger.read(leases.holder_of, "steward", now=utc_now()))
            platform.stop("between")
            most = max(most, sum(slot.holder_id is None for slot in stack.slots()))
        platform.wait_for_order()
        wait_warm(stack)
        assert most <= 1
        assert len([slot for slot in stack.slots() if slot.holder_id is None]) == 1
        assert len(holders) == 1, "whoever has the lease keeps it"
        stack.kill("steward")  # the second steward takes over when the lease expires
        platform.wait_for_order()
        running(platform, "between")
        wait_warm(stack)
    finally:
        second.terminate()
        second.wait(20)


# --- the node --------------------------------------------------------------------------------------------------------


@pytest.fixture
def kubelet(platform: Platform, node: Node) -> Iterator[int]:
    """Process id of our own cluster's kubelet, if no other pods are on its node."""
    found = platform.pool.admin.read("/api/v1/pods")["items"]
    if {pod["metadata"]["namespace"] for pod in found} - {platform.pool.name, "kube-system"}:
        pytest.skip("the kubelet is not ours to hold up: others use it")
    yield node.kubelet_pid
    os.kill(node.kubelet_pid, signal.SIGCONT)


def node_is_ready(platform: Platform) -> bool:
    conditions = platform.pool.admin.node()["status"]["conditions"]
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def test_a_node_that_is_briefly_not_ready_ends_no_instance(platform: Platform, kubelet: int) -> None:
    instance = running(platform, "worker")
    token = platform.stack.user_token("worker")
    os.kill(kubelet, signal.SIGSTOP)
    eventually(lambda: not node_is_ready(platform), seconds=90, what="the node's silence being noticed")
    time.sleep(3)  # longer than one reconcile round
    assert is_running(platform, "worker") == instance, "not ready is not dead"
    assert answers(platform, "worker", token)
    os.kill(kubelet, signal.SIGCONT)
    eventually(lambda: node_is_ready(platform), seconds=60, what="the node")
    assert is_running(platform, "worker") == instance
    assert answers(platform, "worker", token)


def test_every_end_is_recorded_with_its_reason(platform: Platform) -> None:
    """Each ended instance of these tests has an end time and a reason."""
    platform.wait_for_order(all_over=True)
    last = platform.state("misspelt")["last"]
    assert last["failed"]
    assert last["text"] == "Your notebook could not be started."
    assert "InvalidImageName" in last["details"]
    everything = platform.stack.ledger.read(instances.history)
    for instance in everything:
        assert (instance.state == "ended") == (instance.ended_at is not None)
        assert instance.state != "ended" or isinstance(instance.reason, EndReason)
