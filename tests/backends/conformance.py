"""The contract of pool backends. Each backend's test module inherits `BackendConformance`.

It provides three fixtures: `backend`, an empty pool; `other`, a second object on the same pool, as another process
has it; and `specs`, which makes specs of slots with a real image, or with one whose program cannot start.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from spawner import __version__
from spawner.catalog import Accelerator, Flavor, Image, Text
from spawner.errors import BackendUnavailable, SlotFailed
from spawner.instance.sealing import HEALTH_PATH
from spawner.ledger.pool.rows import EndReason
from spawner.pool.backends.base import Backend, Phase, Slots, SlotSpec, SlotStatus
from spawner.pool.queue.responses import UNAVAILABLE_TEXTS

TAG = os.environ.get("TAG", __version__)
"""Of the container images that are tested."""
START_SECONDS = 90
"""A start takes about 2 s; a busy machine is given a lot more."""
WAKE_SECONDS = 10
TEXT = Text(en="a text", zh="文字")
SMALL = Flavor.model_validate(
    {
        "id": "tiny",
        "title": TEXT,
        "summary": TEXT,
        "cpu": 1,
        "memory": "512MiB",
        "disk": "64MiB",
        "processes": 128,
    }
)
Specs = Callable[[], SlotSpec]


def image(name: str) -> Image:
    return Image(id=name, title=TEXT, summary=TEXT, environment=name, reference=f"freepool/{name}:{TAG}")


def spec(image_id: str = "light", flavor: Flavor = SMALL) -> SlotSpec:
    """A slot with an id and a key of its own."""
    return SlotSpec(
        id=f"test{secrets.token_hex(6)}",
        flavor=flavor,
        image=image(image_id),
        key=secrets.token_bytes(32),
    )


async def wait(backend: Backend, holds: Callable[[Slots], bool], *, seconds: float = START_SECONDS) -> Slots:
    """The slots as soon as `holds` is true of them, read at each wake-up of the backend's watch."""
    found: Slots = {}
    try:
        async with asyncio.timeout(seconds), aclosing(backend.watch()) as wakes:  # type: ignore[type-var]
            async for _ in wakes:
                found = await backend.list()
                if holds(found):
                    return found
    except TimeoutError:
        raise AssertionError(f"it did not come within {seconds} s; there is {found}") from None
    raise AssertionError("watch() ended")


async def ready(backend: Backend, slot_id: str) -> SlotStatus:
    """The slot once it is no longer being created; it must be READY."""
    status = (await wait(backend, lambda found: slot_id in found and found[slot_id].phase is not Phase.CREATING))[
        slot_id
    ]
    assert status.phase is Phase.READY, status
    return status


async def dead(backend: Backend, slot_id: str) -> SlotStatus:
    """The slot once it is DEAD."""
    return (await wait(backend, lambda found: slot_id in found and found[slot_id].phase is Phase.DEAD))[slot_id]


async def destroy(backend: Backend, slot_id: str) -> None:
    """Destroy as the callers do: retry if the backend could not confirm it."""
    for _ in range(100):
        try:
            return await backend.destroy(slot_id)
        except BackendUnavailable:
            await asyncio.sleep(0.1)  # the contract has no event to wait for
    raise AssertionError(f"{slot_id} could not be destroyed")


@asynccontextmanager
async def slot(backend: Backend, wanted: SlotSpec) -> AsyncIterator[SlotStatus]:
    """A slot that is READY; destroyed afterwards."""
    await backend.create(wanted)
    try:
        yield await ready(backend, wanted.id)
    finally:
        await destroy(backend, wanted.id)


class BackendConformance:
    """The contract of `spawner/pool/backends/base.py`, one promise per test."""

    shows_assignment = False
    """Whether a slot itself shows that it was assigned (`was_assigned`)."""

    @pytest.fixture
    def backend(self) -> Backend:
        """An empty pool."""
        raise NotImplementedError

    @pytest.fixture
    def other(self) -> Backend:
        """The same pool as another process sees it."""
        raise NotImplementedError

    def broken(self) -> Image:
        """An image whose program prints a message and exits at once."""
        return image("broken")

    def impossible(self) -> tuple[Flavor, Image]:
        """A flavor and image that this pool can never serve."""
        gpu = Accelerator.model_validate({"name": "None such", "memory": "1TiB", "count": 16, "resource": "none/such"})
        return SMALL.model_copy(update={"accelerator": gpu}), image("light")

    async def gone(self, backend: Backend, slot_id: str, url: str | None) -> None:
        """Fail unless nothing of a destroyed slot is left. A backend's own module looks closer."""
        assert slot_id not in await backend.list()
        if url is not None:
            assert not await answers(url)

    async def test_a_slot_becomes_ready_and_answers_and_is_gone_when_destroyed(self, backend: Backend) -> None:
        wanted = spec()
        await backend.create(wanted)
        assert set(await backend.list()) == {wanted.id}, "what was created is there at once"
        status = await ready(backend, wanted.id)
        assert status.url is not None
        assert not status.url.endswith("/")
        assert await answers(status.url) == "warm"
        await backend.destroy(wanted.id)
        await self.gone(backend, wanted.id, status.url)
        await backend.destroy(wanted.id)
        await self.gone(backend, wanted.id, status.url)

    async def test_a_destroyed_id_can_be_created_again(self, backend: Backend) -> None:
        wanted = spec()
        await backend.create(wanted)
        await destroy(backend, wanted.id)
        async with slot(backend, wanted) as status:
            assert status.url is not None
            assert await answers(status.url) == "warm"

    async def test_destroying_an_unknown_slot_is_no_error(self, backend: Backend) -> None:
        await backend.destroy("neverwas")
        assert await backend.list() == {}

    async def test_list_is_complete_and_each_slot_has_its_own_url(self, backend: Backend) -> None:
        wanted = [spec() for _ in range(3)]
        await asyncio.gather(*(backend.create(one) for one in wanted))
        assert set(await backend.list()) == {one.id for one in wanted}
        statuses = [await ready(backend, one.id) for one in wanted]
        assert len({status.url for status in statuses}) == 3
        await backend.destroy(wanted[1].id)
        assert set(await backend.list()) == {wanted[0].id, wanted[2].id}
        await asyncio.gather(*(destroy(backend, one.id) for one in wanted))
        assert await backend.list() == {}

    async def test_watch_wakes_at_once_and_then_at_every_change(self, backend: Backend) -> None:
        wanted = spec()
        async with aclosing(backend.watch()) as wakes:  # type: ignore[type-var]
            async with asyncio.timeout(WAKE_SECONDS):
                await anext(wakes)
            await backend.create(wanted)
            seen: list[Phase | None] = []
            async with asyncio.timeout(START_SECONDS):
                async for _ in wakes:
                    status = (await backend.list()).get(wanted.id)
                    seen.append(status.phase if status else None)
                    if seen[-1] is Phase.READY:
                        await destroy(backend, wanted.id)
                    elif seen[-1] is None and Phase.READY in seen:
                        break
        assert seen[-1] is None

    async def test_a_slot_is_created_once_and_found_and_destroyed_by_any_process(
        self, backend: Backend, other: Backend
    ) -> None:
        wanted = spec()
        assert await backend.find(wanted.id) is None
        await asyncio.gather(*(backend.create(wanted) for _ in range(4)))
        try:
            found = await other.find(wanted.id)
            assert found is not None
            assert found.phase is Phase.CREATING
            status = await ready(other, wanted.id)
            for process in (backend, other):
                await process.create(wanted)
                assert await process.list() == {wanted.id: status}
                assert await process.find(wanted.id) == status
        finally:
            await destroy(other, wanted.id)
        await self.gone(backend, wanted.id, status.url)
        assert await other.find(wanted.id) is None

    async def test_creating_and_destroying_at_once_leaves_all_or_nothing(
        self, backend: Backend, other: Backend
    ) -> None:
        wanted = spec()
        for round_ in range(3):
            await asyncio.gather(
                *(one.create(wanted) for one in (backend, other)),
                *(one.destroy(wanted.id) for one in (backend, other)),
                return_exceptions=True,
            )
            if wanted.id in await backend.list() and round_ == 0:
                status = (await wait(backend, lambda found: found[wanted.id].phase is not Phase.CREATING))[wanted.id]
                assert status.phase in (Phase.READY, Phase.DEAD)
            await destroy(backend, wanted.id)
            await self.gone(backend, wanted.id, None)

    async def test_an_image_that_cannot_start_dies_with_its_last_words(self, backend: Backend) -> None:
        wanted = replace(spec(), image=self.broken())
        try:
            await backend.create(wanted)
        except SlotFailed:
            return  # refused before the slot was created
        status = await dead(backend, wanted.id)
        assert status.reason is EndReason.START_FAILED
        assert status.detail
        await destroy(backend, wanted.id)
        await self.gone(backend, wanted.id, status.url)

    async def test_assigning_is_seen_by_all_processes_and_changes_nothing_else(
        self, backend: Backend, other: Backend
    ) -> None:
        async with slot(backend, spec()) as status:
            await backend.assign(status.id, seconds=3600)
            await backend.assign(status.id, seconds=3600)
            expected = replace(status, assigned=True, was_assigned=self.shows_assignment)
            assert await other.find(status.id) == expected
            assert await answers(str(status.url)) == "warm"
        await backend.assign(status.id, seconds=3600)  # gone by now

    def test_what_can_be_served_is_not_refused(self, backend: Backend) -> None:
        assert backend.why_not(SMALL) is None
        assert backend.why_not(SMALL, image("light")) is None
        assert backend.isolated

    def test_what_cannot_be_served_is_refused_with_a_reason_that_has_a_sentence(self, backend: Backend) -> None:
        why_not = backend.why_not(*self.impossible())
        assert why_not is not None
        assert UNAVAILABLE_TEXTS[why_not]


async def answers(url: str) -> str | None:
    """A slot's health status; None if nothing answers."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(url + HEALTH_PATH) as answer,
        ):
            return await answer.text()
    except (TimeoutError, aiohttp.ClientError, OSError):
        return None
