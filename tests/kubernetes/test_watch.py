"""The view of the pods stays correct through connection failures, and updating it does not block the event loop."""

from __future__ import annotations

import asyncio
import gc
import json
import secrets
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from spawner.errors import BackendUnavailable
from spawner.pool import slot_view as view_module
from spawner.pool.backends.kubernetes import client, watch
from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from spawner.pool.backends.kubernetes.client import Cluster
from spawner.pool.backends.kubernetes.watch import PodStore, list_pods
from spawner.pool.slot_view import SlotView
from spawner.settings import KubernetesPool
from tests.kubernetes.admin import Admin
from tests.kubernetes.conftest import ACCOUNT, PoolNamespace, rights
from tests.kubernetes.gate import Gate, gate_to
from tests.kubernetes.unscheduled_pods import Paper, paper_in

SECONDS = 20.0
"""For what takes one: the machine may be busy."""
MANY = 1200
"""More than two pages of a list, and as many as the events below name."""
LONGEST_CALLBACK = 0.05
"""Seconds of processor time. Longer callbacks delay every request of the hub."""


class Counted(Cluster):
    """Counts requests. `between_pages` is called once, after the first page of a list."""

    def __init__(self, pool: KubernetesPool) -> None:
        super().__init__(pool)
        self.asked: Counter[str] = Counter()
        self.between_pages: Callable[[], Awaitable[None]] | None = None

    async def pages(self, selector: str) -> AsyncIterator[dict[str, Any]]:
        self.asked["list"] += 1
        async for page in super().pages(selector):
            self.asked["page"] += 1
            yield page
            if self.between_pages is not None:
                doing, self.between_pages = self.between_pages, None
                await doing()

    @asynccontextmanager
    async def watching(self, selector: str, *, since: str, seconds: int) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked["watch"] += 1
        async with super().watching(selector, since=since, seconds=seconds) as lines:
            yield lines


class Watched:
    """A backend on a counted connection, and a view that follows it."""

    def __init__(self, pool: KubernetesPool) -> None:
        self.backend = KubernetesBackend(pool)
        self.cluster = Counted(pool)
        self.store = PodStore(self.cluster)
        self.backend._cluster, self.backend._store = self.cluster, self.store
        self.view = SlotView(self.backend)

    async def seen(self, *slot_ids: str, seconds: float = SECONDS) -> None:
        """Wait until the view shows these and no others."""
        try:
            await self.view.wait_until(lambda found: found.keys() == set(slot_ids), seconds=seconds)
        except TimeoutError:
            raise AssertionError(f"the view shows {set(self.view._slots)}, not {set(slot_ids)}") from None


@pytest.fixture(scope="module")
def gate(backend_namespace: PoolNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, Path]]:
    """A gate before the API server, and the kubeconfig that leads through it."""
    assert backend_namespace.settings.kubeconfig
    copy = tmp_path_factory.mktemp("gate") / "kubeconfig"
    with gate_to(backend_namespace.settings.kubeconfig, copy) as opened:
        yield opened, copy


@pytest_asyncio.fixture
async def paper(backend_namespace: PoolNamespace) -> AsyncIterator[Paper]:
    """Pods created by an administrator; the namespace is emptied afterwards."""
    async with paper_in(backend_namespace.admin.kubeconfig, backend_namespace.settings) as hand:
        yield hand
        await hand.clear()


@pytest_asyncio.fixture
async def watched(
    gate: tuple[Gate, Path], backend_namespace: PoolNamespace, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    """The pool, through the gate. Its view tries again quickly."""
    monkeypatch.setattr(view_module, "RETRY_SECONDS", 0.2)
    gate[0].open()
    made = Watched(backend_namespace.settings.model_copy(update={"kubeconfig": gate[1]}))
    yield made
    await made.backend.close()
    gate[0].open()


async def test_after_a_cut_the_watch_goes_on_where_it_stopped(
    gate: tuple[Gate, Path], watched: Watched, paper: Paper
) -> None:
    async with watched.view.following():
        first, second = await paper.make(2)
        await watched.seen(first, second)
        gate[0].cut()
        (third,) = await paper.make()
        await watched.seen(first, second, third)
        gate[0].shut()
        await paper.remove(first)
        (fourth,) = await paper.make()
        await asyncio.sleep(1)  # a few tries are refused
        assert set(watched.view._slots) == {first, second, third}
        gate[0].open()
        await watched.seen(second, third, fourth)
        assert watched.cluster.asked["list"] == 1, "nothing was missed, so nothing had to be listed again"
        assert watched.cluster.asked["watch"] > 3


@pytest.mark.parametrize("how", ["stall", "shut"])
async def test_a_stale_view_is_never_used(
    how: str, gate: tuple[Gate, Path], watched: Watched, paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-open connection looks like a quiet one: it is dropped after 9 s (by KubeSpawner's reflector never); here
    everything takes half as long."""
    monkeypatch.setattr(client, "REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(watch, "WATCH_SECONDS", 2)
    monkeypatch.setattr(watch, "FRESH_SECONDS", 4.5)
    async with watched.view.following():
        (old,) = await paper.make()
        await watched.seen(old)
        getattr(gate[0], how)()
        began = time.monotonic()
        await paper.remove(old)
        (new,) = await paper.make()
        while watched.store.is_fresh:
            assert time.monotonic() - began < watch.FRESH_SECONDS + 1
            await asyncio.sleep(0.1)
        print(f"\n{how}: noticed after {time.monotonic() - began:.1f} s")
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            await watched.backend.list()
        await asyncio.sleep(0.5)
        with pytest.raises(BackendUnavailable):
            await watched.backend.list()
        with pytest.raises(BackendUnavailable):
            await watched.backend.find(old)
        failed = watched.cluster.asked["list"] - 1
        gate[0].open()
        await watched.view.wait_until(lambda found: found.keys() == {new}, seconds=SECONDS)
        assert await watched.backend.find(old) is None
        silent = how == "stall"  # longer than the view counts as fresh: then the pods are listed again
        assert watched.cluster.asked["list"] - failed == (2 if silent else 1)


async def test_the_end_of_a_watch_closes_its_connection_at_once(
    gate: tuple[Gate, Path], watched: Watched, paper: Paper
) -> None:
    async with watched.view.following():
        (first,) = await paper.make()
        await watched.seen(first)
        (second,) = await paper.make()
        await watched.seen(first, second)  # from the watch: it is open
        assert _connections_to(gate[0].port)
        gate[0].stall()  # the server's close_notify never comes
    await watched.backend.close()
    assert not _connections_to(gate[0].port)


def _connections_to(port: int) -> list[Any]:
    return [one for one in psutil.Process().net_connections("tcp") if one.raddr and one.raddr[1] == port]


async def test_concurrent_reads_of_a_stalled_pool_share_one_request(
    gate: tuple[Gate, Path], watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 1.0)
    await watched.view.now()
    watched.view._seen_at = float("-inf")
    gate[0].stall()
    began = time.monotonic()
    answers = await asyncio.gather(*(watched.view.now() for _ in range(20)), return_exceptions=True)
    assert all(isinstance(answer, BackendUnavailable) for answer in answers)
    assert time.monotonic() - began < 4, "not one after the other"
    gate[0].open()
    assert await watched.view.now() == {}


async def test_an_expired_resource_version_leads_to_a_new_list(
    gate: tuple[Gate, Path], watched: Watched, paper: Paper
) -> None:
    async with watched.view.following():
        first, second = await paper.make(2)
        await watched.seen(first, second)
        gate[0].shut()
        await asyncio.sleep(0.1)
        watched.store._since = "1"  # long ago: the server answers 410 Gone
        await paper.remove(first)
        (third,) = await paper.make()
        gate[0].open()
        await watched.seen(second, third)
        assert watched.cluster.asked["list"] == 2
        (fourth,) = await paper.make()
        await watched.seen(second, third, fourth)
        assert watched.cluster.asked["list"] == 2, "once at first, and once because of that"


async def test_changed_credentials_are_read_again(gate: tuple[Gate, Path], watched: Watched, paper: Paper) -> None:
    good = gate[1].read_text()
    config = json.loads(good)
    config["users"][0]["user"]["token"] = "expired"
    gate[1].write_text(json.dumps(config))
    try:
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match=r"denied access \(401\)") as refused:
                await watched.backend.list()
            assert "service account" in refused.value.next_step
        gate[1].write_text(good)
        assert await watched.backend.list() == {}
    finally:
        gate[1].write_text(good)


async def test_a_watch_whose_token_has_expired_goes_on_with_the_new_one(
    gate: tuple[Gate, Path], watched: Watched, paper: Paper
) -> None:
    async with watched.view.following():
        (first,) = await paper.make()
        await watched.seen(first)
        assert watched.cluster._client is not None
        watched.cluster._client.configuration.api_key["BearerToken"] = "Bearer expired"  # the file has a newer one
        gate[0].cut()
        (second,) = await paper.make()
        await watched.seen(first, second)
        assert watched.cluster.asked["list"] == 1


async def test_changes_between_two_pages_of_a_list_are_not_missed(
    watched: Watched, paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    made = sorted(await paper.make(7))
    came: list[str] = []

    async def change() -> None:
        await paper.remove(made[0], made[-1])
        came.extend(await paper.make(2))

    watched.cluster.between_pages = change
    pods, _ = await list_pods(watched.cluster)
    assert watched.cluster.asked["page"] == 4
    assert sorted(pod.status.id for pod in pods.values()) == made, "one moment, however many pages"

    now = {*made[1:-1], *came}
    made = sorted(now)
    came.clear()
    watched.cluster.between_pages = change
    async with watched.view.following():
        await watched.view.wait_until(
            lambda found: bool(came) and found.keys() == {*made[1:-1], *came}, seconds=SECONDS
        )
    assert watched.cluster.asked["list"] == 2, "the watch told the rest"


async def test_a_list_that_breaks_off_is_not_used(
    gate: tuple[Gate, Path], watched: Watched, paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    await paper.make(5)

    async def shut() -> None:
        gate[0].shut()

    watched.cluster.between_pages = shut
    with pytest.raises(BackendUnavailable):
        await watched.backend.list()
    gate[0].open()
    assert len(await watched.backend.list()) == 5

    ask = watched.cluster._ask

    async def forgetful(verb: str, **arguments: Any) -> Any:
        if "_continue" in arguments:
            arguments["_continue"] = "bm90aGluZw"  # as good as one that has expired
        return await ask(verb, **arguments)

    monkeypatch.setattr(watched.cluster, "_ask", forgetful)
    with pytest.raises(BackendUnavailable):
        await watched.backend.list()


# --- many ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def spare_namespace(admin: Admin, without_firewall: None, tmp_path: Path) -> Iterator[KubernetesPool]:
    """A namespace that goes with everything in it."""
    name = f"freepool-test-{secrets.token_hex(3)}"
    admin.apply(*rights(name))
    try:
        yield KubernetesPool(namespace=name, kubeconfig=admin.account(name, ACCOUNT, tmp_path / "kubeconfig"))
    finally:
        admin.kubectl("delete", "namespace", name, "--wait=false")


class Loop:
    """Processor time of the longest callback of the event loop, and how late it was at worst."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.what = ""
        self.lag = 0.0

    @asynccontextmanager
    async def measured(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
        """Measure while the block runs."""
        self.longest = self.lag = 0.0
        run = asyncio.events.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            took = time.thread_time() - began
            if took > self.longest:
                self.longest, self.what = took, repr(handle)

        async def tick() -> None:
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.005)  # measures the delay of a wake-up
                self.lag = max(self.lag, time.monotonic() - began - 0.005)

        # A process that has run a thousand tests holds more objects than a hub: collecting them is not measured.
        gc.collect()
        gc.freeze()
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.events.Handle, "_run", timed)
            ticking = asyncio.create_task(tick())
            try:
                yield
            finally:
                ticking.cancel()
                gc.unfreeze()

    def report(self, what: str) -> str:
        return f"{what}: longest callback {self.longest * 1000:.1f} ms of CPU, loop late by {self.lag * 1000:.0f} ms"


class Said(list[str]):
    """Measurements, printed as they come."""

    def append(self, line: str) -> None:
        print(f"\n{line}", end="")
        super().append(line)


async def test_many_pods_do_not_block_the_event_loop(
    admin: Admin, spare_namespace: KubernetesPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop()
    said = Said()
    watched = Watched(spare_namespace)
    async with paper_in(admin.kubeconfig, spare_namespace) as paper:
        began = time.monotonic()
        slot_ids = await paper.make(MANY)
        said.append(f"{MANY} pods made in {time.monotonic() - began:.0f} s")
        await list_pods(watched.cluster)  # connects
        began = time.monotonic()
        async with loop.measured(monkeypatch):
            pods, _ = await list_pods(watched.cluster)
        assert len(pods) == MANY
        said.append(loop.report(f"list in {time.monotonic() - began:.1f} s"))
        assert loop.longest < LONGEST_CALLBACK, loop.report(loop.what)
        del pods

        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        async with aclosing(watched.backend.watch()) as wakes:
            await anext(wakes)
            held = (tracemalloc.get_traced_memory()[0] - before) / MANY
        tracemalloc.stop()
        said.append(f"{held:.0f} bytes held per pod")
        assert held < 3000

        async with watched.view.following():
            await watched.seen(*slot_ids)
            some = slot_ids[:400]
            began = time.monotonic()
            async with loop.measured(monkeypatch):
                await paper.mark(some, **{"freepool/assigned": "true"})
                await watched.view.wait_until(lambda found: all(found[name].assigned for name in some), seconds=SECONDS)
            said.append(loop.report(f"{len(some)} events one by one in {time.monotonic() - began:.1f} s"))
            assert loop.longest < LONGEST_CALLBACK, loop.report(loop.what)
        # The watch is not read for a while, and then receives all events at once.
        monkeypatch.setattr(watch, "FRESH_SECONDS", 600.0)
        await paper.mark(slot_ids[400:1200], **{"freepool/assigned": "true"})
        began = time.monotonic()
        async with loop.measured(monkeypatch), watched.view.following():
            await watched.view.wait_until(
                lambda found: all(found[name].assigned for name in slot_ids[:1200]), seconds=SECONDS
            )
        said.append(loop.report(f"800 events at once in {time.monotonic() - began:.1f} s"))
    await watched.backend.close()
    assert loop.longest < LONGEST_CALLBACK, loop.report(loop.what)
    assert watched.cluster.asked["list"] == 3, "once each to connect, to measure, to follow"
