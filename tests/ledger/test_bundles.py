"""Bundles: which ends leave one, what becomes of it when something fails, and that nothing outlives its row."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import Connection
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from spawner.bundles.cipher import BundleDamaged, decrypt
from spawner.bundles.store import FOLDER, FolderStore, StoreRefused
from spawner.catalog.keep import Keep
from spawner.instance.report_key import SETTING, report_key
from spawner.instance.save.changes import MANIFEST
from spawner.instance.save.handlers import BundleHandler
from spawner.instance.save.paths import BUNDLE, BUNDLE_HEADER
from spawner.instance.sealing import slot_key
from spawner.ledger import EndReason, Instance, Ledger
from spawner.ledger.bundles import bundles, choices
from spawner.ledger.bundles.rows import Bundle, BundleState
from spawner.ledger.people import forgetting, people
from spawner.ledger.people.rows import HubUser
from spawner.ledger.pool import instances
from spawner.pool.backends.base import Phase, SlotStatus
from spawner.pool.pool import Pool
from spawner.steward import bundles as steward_bundles
from spawner.steward.bundles import Bundles
from tests.ledger.rows import later
from tests.ledger.running import DestroyingBackend, pool_on, run_instance

MASTER = b"m" * 32
CANARY = b"canary of a bundle"


@dataclass
class Backend(DestroyingBackend):
    """One slot, at this URL."""

    url: str | None = None

    async def find(self, slot_id: str) -> SlotStatus | None:
        return SlotStatus(slot_id, Phase.READY, url=self.url)


@dataclass
class Setup:
    """A running instance whose user has chosen, and the steward's part that keeps its files."""

    pool: Pool
    kept: Bundles
    backend: Backend
    instance: Instance
    folder: Path
    seconds: list[float] = field(default_factory=lambda: [5.0])

    def bundle(self) -> Bundle | None:
        return self.pool.ledger.read(bundles.of_instance, self.instance.id)

    async def end(self, reason: EndReason = EndReason.DEADLINE) -> Bundle | None:
        assert await self.pool.end(self.instance.id, reason)
        assert self.backend.destroyed == ["s1"], "the wipe goes on"
        assert self.pool.ledger.read(instances.get, self.instance.id).state == "ended"
        return self.bundle()

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


def code_of(bundle: Bundle | None) -> str:
    assert bundle is not None
    assert bundle.state is BundleState.FAILED
    return str(json.loads(bundle.detail or "{}")["code"])


@pytest.fixture
async def setup(sqlite_ledger: Ledger, tmp_path: Path) -> AsyncIterator[Setup]:
    ledger = sqlite_ledger
    pool, backend = pool_on(ledger), Backend()
    pool.catalog = pool.catalog.model_copy(update={"keep": Keep(enabled=True, limit=1000)})  # type: ignore[arg-type]
    pool.backend, pool.master_key = backend, MASTER  # type: ignore[assignment]
    seconds = [5.0]
    pool.now = lambda: later(seconds[0])
    pool.new_id = iter([f"{number:016x}" for number in range(10, 20)]).__next__
    folder = tmp_path / "bundles"
    async with aiohttp.ClientSession() as session:
        pool.session = session
        kept = Bundles(pool, FolderStore(folder), folder)
        pool.before_destroy = kept.before_destroy
        instance = run_instance(ledger)
        ledger.write(choices.choose, instance.person_id, wanted=True, now=later(0))
        yield Setup(pool, kept, backend, instance, folder, seconds)


@asynccontextmanager
async def the_servers_handler(root: Path) -> AsyncIterator[str]:
    """The handler of the instance itself, on loopback."""
    settings = {"server_root_dir": str(root), SETTING: report_key(slot_key(MASTER, "s1")), MANIFEST: {}}
    server = HTTPServer(Application([(BUNDLE, BundleHandler)], **settings))
    (socket,) = bind_sockets(0, "127.0.0.1")
    server.add_socket(socket)
    yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    server.stop()
    await server.close_all_connections()


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """A server in an instance's place: users can replace theirs."""
    app = web.Application()
    app.router.add_post(BUNDLE, answer)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def summary(**changes: Any) -> dict[str, str]:
    return {BUNDLE_HEADER: json.dumps({"files": 1, "bytes": 5, "left_out": [], "left_out_count": 0} | changes)}


async def test_the_changed_files_are_kept_encrypted_before_the_wipe(setup: Setup, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "a.txt").write_bytes(CANARY)
    (root / "large.bin").write_bytes(bytes(2000))
    async with the_servers_handler(root) as setup.backend.url:
        bundle = await setup.end()
    assert bundle is not None
    assert (bundle.state, bundle.files, bundle.bytes, bundle.store) == (BundleState.KEPT, 1, len(CANARY), FOLDER)
    assert bundle.expires_at - bundle.made_at == timedelta(days=3)
    assert json.loads(bundle.detail or "") == {"code": "left_out", "count": 1, "names": ["large.bin"]}
    (name,) = setup.left()
    sealed = (setup.folder / name).read_bytes()
    assert CANARY not in sealed
    plain = b"".join(decrypt([sealed], bytes.fromhex(bundle.key)))
    assert zipfile.ZipFile(io.BytesIO(plain)).read("a.txt") == CANARY
    assert setup.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("reason", EndReason)
async def test_only_ends_that_the_platform_brings_about_leave_a_bundle(setup: Setup, reason: EndReason) -> None:
    setup.backend.url = "http://127.0.0.1:9"
    bundle = await setup.end(reason)
    assert (bundle is not None) == (reason.value in {"deadline", "idle", "maintenance", "guard", "administrator"})


async def test_without_either_choice_there_is_none(setup: Setup, sqlite_ledger: Ledger) -> None:
    sqlite_ledger.write(choices.choose, setup.instance.person_id, wanted=False, now=later(0))
    assert await setup.end() is None


async def test_without_the_catalogs_choice_there_is_none(setup: Setup) -> None:
    setup.pool.catalog = setup.pool.catalog.model_copy(update={"keep": Keep()})
    assert await setup.end() is None


async def test_where_nothing_has_changed_no_row_is_left(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    async with the_servers_handler(tmp_path / "workspace") as setup.backend.url:
        assert await setup.end() is None
    assert setup.left() == []


async def _breaks_off(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers=summary())
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    await answer.write(b"half")
    assert request.transport is not None
    request.transport.close()
    return answer


async def _never_ends(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def _sends_too_much(request: web.Request) -> web.StreamResponse:
    return web.Response(body=bytes(5000), headers=summary())


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (_breaks_off, "gone"),
        (_never_ends, "timed_out"),
        (_sends_too_much, "refused"),
        (lambda _: web.Response(status=403), "refused"),
        (lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}), "refused"),
        (lambda _: web.Response(body=b"12345", headers={BUNDLE_HEADER: "no JSON"}), "refused"),
        (lambda _: web.Response(body=b"12345", headers=summary(bytes=10**9)), "refused"),
        (lambda _: web.Response(body=b"12345", headers=summary(files=10**30)), "refused"),
        (lambda _: web.Response(body=b"12345", headers={BUNDLE_HEADER: '{"files": 1e999, "left_out": []}'}), "refused"),
        (lambda _: web.Response(body=b"12345", headers={BUNDLE_HEADER: "[" * 4000}), "refused"),
        (lambda _: web.Response(headers=summary(files=0, left_out_count=3, left_out=["a"])), "too_large"),
    ],
)
async def test_what_cannot_be_fetched_is_said_and_nothing_half_is_left(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, answer: Any, code: str
) -> None:
    monkeypatch.setattr(steward_bundles, "MAKE_SECONDS", 0.5)
    monkeypatch.setattr(steward_bundles, "OVERHEAD", 1000)

    async def answered(request: web.Request) -> web.StreamResponse:
        found = answer(request)
        return await found if asyncio.iscoroutine(found) else found  # type: ignore[no-any-return]

    async with serving(answered) as setup.backend.url:
        assert code_of(await setup.end()) == code
    assert setup.left() == []


class RefusingStore(FolderStore):
    """Raises an error instead of storing."""

    def __init__(self, error: Exception) -> None:
        super().__init__(Path("/nonexistent"))
        self._error = error

    def put(self, name: str, source: Path) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (PermissionError("not here"), "store"),
        (StoreRefused("AccessDenied"), "store"),
    ],
)
async def test_a_store_that_refuses_is_said(setup: Setup, tmp_path: Path, error: Exception, code: str) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "a.txt").write_bytes(CANARY)
    setup.kept._store = RefusingStore(error)
    async with the_servers_handler(tmp_path / "workspace") as setup.backend.url:
        assert code_of(await setup.end()) == code
    assert setup.left() == []


async def test_a_store_that_is_not_set_up_is_said_and_no_byte_is_written(setup: Setup) -> None:
    setup.kept._store = None
    setup.backend.url = "http://127.0.0.1:9"
    assert code_of(await setup.end()) == "store"
    assert setup.left() == []


async def test_a_disk_that_is_nearly_full_is_left_to_the_ledger(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(steward_bundles, "LEAST_FREE", 1 << 60)
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "a.txt").write_bytes(CANARY)
    async with the_servers_handler(tmp_path / "workspace") as setup.backend.url:
        assert code_of(await setup.end()) == "disk_full"
    assert setup.left() == []


async def test_who_starts_and_leaves_notebooks_again_and_again_fills_no_disk(setup: Setup) -> None:
    """The newest of each person stay; the bytes of the others follow their rows."""
    names = [
        put(setup, number, BundleState.KEPT, made_at=later(number)) for number in range(1, bundles.MOST_OF_PERSON + 4)
    ]
    other = put(setup, 99, BundleState.KEPT, person_id="ben")
    await setup.kept.clean_up()
    assert sorted(setup.left()) == sorted([*names[3:], other])


async def test_an_error_that_nobody_expected_does_not_keep_the_wipe_from_going_on(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(setup.kept, "_fetch", fail)
    bundle = await setup.end()
    assert bundle is not None
    assert bundle.state is BundleState.MAKING
    setup.seconds[0] += 121
    await setup.kept.clean_up()
    assert code_of(setup.bundle()) == "timed_out"


async def test_a_steward_that_is_told_to_end_leaves_the_bundle_to_the_next(setup: Setup) -> None:
    began = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        began.set()
        return await _never_ends(request)

    async with serving(answer) as setup.backend.url:
        await setup.pool.intend_end(setup.instance.id, EndReason.DEADLINE)
        ending = asyncio.create_task(setup.pool.destroy_slot("s1", EndReason.DEADLINE))
        await began.wait()
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        await setup.kept.rest()
    assert setup.left() == []
    bundle = setup.bundle()
    assert bundle is not None
    assert bundle.state is BundleState.MAKING


async def test_a_steward_that_takes_over_goes_on_and_waits_no_longer(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "a.txt").write_bytes(CANARY)
    await setup.pool.intend_end(setup.instance.id, EndReason.DEADLINE)  # and then the first was killed
    async with the_servers_handler(tmp_path / "workspace") as setup.backend.url:
        setup.seconds[0] += 59
        bundle = await setup.end()
    assert bundle is not None
    assert bundle.state is BundleState.KEPT


async def test_a_steward_that_takes_over_too_late_wipes_at_once(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "a.txt").write_bytes(CANARY)
    await setup.pool.intend_end(setup.instance.id, EndReason.DEADLINE)
    async with the_servers_handler(tmp_path / "workspace") as setup.backend.url:
        setup.seconds[0] += 61
        assert code_of(await setup.end()) == "timed_out"


async def test_two_that_destroy_one_slot_fetch_once(setup: Setup) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.Response(body=b"12345", headers=summary())

    async with serving(answer) as setup.backend.url:
        await setup.pool.intend_end(setup.instance.id, EndReason.MAINTENANCE)
        await asyncio.gather(*(setup.pool.destroy_slot("s1", EndReason.MAINTENANCE) for _ in range(3)))
    assert asked == [{"limit": 1000}]


def put(setup: Setup, number: int, state: BundleState, **changes: Any) -> str:
    """A row with bytes."""
    name = f"{number:016x}"
    fields: dict[str, Any] = {
        "id": name, "person_id": "ann", "instance_id": f"of-{number}", "state": state, "key": f"{number:064x}",
        "store": FOLDER, "bytes": 5, "files": 1, "made_at": later(0), "expires_at": later(10**6),
    }  # fmt: skip
    setup.pool.ledger.write(bundles.intend, Bundle(**fields | changes))
    setup.folder.mkdir(exist_ok=True)
    (setup.folder / name).write_bytes(CANARY)
    return name


async def test_cleaning_up_deletes_what_has_no_row_or_no_time_left(setup: Setup) -> None:
    kept = put(setup, 1, BundleState.KEPT)
    put(setup, 2, BundleState.KEPT, expires_at=later(5))
    put(setup, 3, BundleState.FAILED)
    (setup.folder / "00000000000000ff").write_bytes(CANARY)
    part = setup.folder / "00000000000000ee.part"
    part.write_bytes(CANARY)
    os.utime(part, times=(0, 0))
    await setup.kept.clean_up()
    assert setup.left() == [kept]
    assert [one.id for one in setup.pool.ledger.read(bundles.of_person, "ann")] == [kept, f"{3:016x}"]


async def test_what_a_killed_steward_began_is_said_to_have_failed(setup: Setup) -> None:
    put(setup, 1, BundleState.MAKING)
    setup.seconds[0] = 119
    await setup.kept.clean_up()
    assert setup.pool.ledger.read(bundles.of_instance, "of-1").state is BundleState.MAKING  # type: ignore[union-attr]
    setup.seconds[0] = 121
    await setup.kept.clean_up()
    assert code_of(setup.pool.ledger.read(bundles.of_instance, "of-1")) == "timed_out"


async def test_a_deleted_row_is_the_deletion(setup: Setup, sqlite_ledger: Ledger, tmp_path: Path) -> None:
    """The key is nowhere, also not in SQLite's free pages; what was copied before is noise; the bytes follow."""
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "a.txt").write_bytes(CANARY)
    async with the_servers_handler(root) as setup.backend.url:
        bundle = await setup.end()
    assert bundle is not None
    copied = (setup.folder / bundle.id).read_bytes()
    assert sqlite_ledger.write(bundles.remove, bundle.id, person_id="somebody-else") is False
    assert sqlite_ledger.write(bundles.remove, bundle.id, person_id=setup.instance.person_id) is True
    await setup.kept.clean_up()
    assert setup.left() == []
    assert CANARY not in copied
    with pytest.raises(BundleDamaged):
        b"".join(decrypt([copied], bytes(32)))

    def checkpoint(connection: Connection) -> str:
        if connection.dialect.name != "sqlite":
            return ""
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        file = str(connection.exec_driver_sql("PRAGMA database_list").one()[2])
        connection.exec_driver_sql("BEGIN")
        return file

    if file := sqlite_ledger.read(checkpoint):
        stored = Path(file).read_bytes() + Path(f"{file}-wal").read_bytes()
        assert setup.instance.id.encode() in stored, "it is the right file"
        assert bundle.key.encode() not in stored


async def test_a_forgotten_person_leaves_no_bytes(setup: Setup, sqlite_ledger: Ledger) -> None:
    user = HubUser(7, "dora", "2026-01-01T00:00:00Z")
    person = sqlite_ledger.write(people.of_user, user, new_id=lambda: "p-dora", now=later(0)).id
    sqlite_ledger.write(people.leave, user)
    name = put(setup, 1, BundleState.KEPT, person_id=person)
    sqlite_ledger.write(choices.choose, person, wanted=True, now=later(0))
    sqlite_ledger.write(forgetting.forget, person, now=later(1))
    await setup.kept.clean_up()
    assert name not in setup.left()
    assert sqlite_ledger.read(choices.is_chosen, person) is False
