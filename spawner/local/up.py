"""`freepool up`: the supervisor. Starts hub, proxy, desk and steward as siblings, says when it is really ready,
restarts what dies, and on Ctrl-C leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp

from spawner.catalog import Catalog, load_catalog
from spawner.errors import FreepoolError, SetupError
from spawner.hub.login.login_address import where_to_log_in
from spawner.ledger import EndReason
from spawner.ledger.engine import check_sqlite_file, make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.pool import instances, slots
from spawner.local import demo, folders, front, liveness, logs, preflight
from spawner.local.environment import check_files, for_hub, for_programs, left_out
from spawner.local.fork_server import ForkServer
from spawner.local.instance_network import warning, with_means
from spawner.local.memory import spare_the_platform
from spawner.local.processes import Program
from spawner.local.secrets import make_secrets
from spawner.origins import startup_notice
from spawner.paid.build import require as require_paid
from spawner.plain_text import printable
from spawner.pool.backends.local.slot_folder import remove_drafts
from spawner.pool.build import make_pool
from spawner.pool.pool import Pool
from spawner.pool.warm.demand import read_demand
from spawner.pool.warm.targets import warm_targets
from spawner.settings import LOOPBACK, SETTINGS_VARIABLE, Isolation, Settings

log = logging.getLogger("freepool.up")
READY_SECONDS = 90
HEALTH_PATHS = ("hub/health", "services/desk/health")
DEMO_CLOUD = "demo-cloud"
TEMPORARY = "tmp"
"""The programs' folder for temporary files, inside the state folder: a cluster's credentials are among them."""
LOOK_SECONDS = 0.05
"""Between looks at programs that have no way to tell us that they are ready."""


@dataclass(frozen=True)
class Installation:
    """Settings made complete for one machine, and the hub's own configuration file."""

    settings: Settings
    settings_file: Path
    hub_config: Path
    catalog: Catalog
    proxy: list[str]
    listeners: list[socket.socket]
    """The public port, and the gate's, held from before the first program starts until after the last has ended."""
    lock: int
    demo_cloud: list[str] | None = None
    """What runs the stand-in cloud."""


def prepare(
    *,
    local_file: Path,
    state: Path,
    port: int,
    isolation: Isolation,
    catalog: Path | None,
    ledger_url: str | None,
    demo_cloud: bool = False,
) -> Installation:
    """Check everything that can be checked, then make the state folder's files. Raises `SetupError`; starts nothing."""
    local = dict(preflight.read_local_file(local_file))
    hub_config = local.pop("hub_config")
    if catalog is not None:
        local["catalog"] = catalog.resolve()
    loaded = load_catalog(local["catalog"])
    address = local["address"] = str(local.get("address", LOOPBACK)).strip("[]")
    if "kubernetes" not in local:
        preflight.require_sandbox(isolation)
    proxy = preflight.proxy_command()
    listeners = front.open_public_sockets(address, port)
    state = state.resolve()
    lock = folders.take_state_folder(state)
    make_secrets(state)
    (state / "logs").mkdir(exist_ok=True)
    front.routes_file(state).unlink(missing_ok=True)  # of notebooks that an earlier run may have had
    listeners += front.open_former_hub_port(state, address)
    shutil.rmtree(state / TEMPORARY, ignore_errors=True)  # what a killed program had no time to remove
    (state / TEMPORARY).mkdir(mode=0o700)
    remove_drafts(state / "slots")
    if demo_cloud:
        local["paid"] = demo.demo_settings(state)
    gate_port = 0
    if local.get("paid"):
        listeners.append(front.open_gate_socket())
        gate_port = listeners[-1].getsockname()[1]
    settings = preflight.complete(
        local,
        state=state,
        ledger_url=ledger_url or f"sqlite:///{state / 'ledger.sqlite'}",
        public_port=port,
        isolation=isolation,
        sockets=folders.make_socket_folder(state),
        gate_port=gate_port,
    )
    settings = with_means(settings)
    if settings.paid is not None:
        require_paid(settings.paid)
    preflight.require_channels(settings)
    if settings.kubernetes is None:
        preflight.require_default_image(settings, loaded)
    check_sqlite_file(settings.ledger)
    for database in ("ledger.sqlite", "jupyterhub.sqlite"):
        folders.make_private_file(state / database)
    engine = make_engine(settings.ledger)
    migrate(engine)
    engine.dispose()
    settings_file = state / "settings.json"
    folders.make_private_file(settings_file)
    settings_file.write_text(settings.model_dump_json(indent=2))
    stand_in = demo.demo_command(state) if demo_cloud else None
    return Installation(settings, settings_file, hub_config, loaded, proxy, listeners, lock, stand_in)


def programs(installation: Installation, fork_server: ForkServer | None = None) -> list[Program]:
    """The four siblings, the steward last (`up` ends it first); before them the stand-in cloud, where there is one."""
    settings = installation.settings
    python, folder = sys.executable, settings.state / "logs"
    base = for_programs(settings, os.environ) | {
        SETTINGS_VARIABLE: str(installation.settings_file),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(settings.state / TEMPORARY),
    }
    if settings.kubernetes is None:
        check_files(installation.catalog)
    if settings.login.has_provider:
        settings.login.client()  # raises where there is none: better here than in the hub's log
    for name in left_out(settings, os.environ):
        say(f"NOTE: {name} is not passed on; name it under `environment` in the settings if the programs need it.")
    proxy = Program(
        "proxy",
        front.front_command(settings, installation.proxy, installation.listeners),
        base | {"CONFIGPROXY_AUTH_TOKEN": settings.secret("proxy")},
        folder / "proxy.log",
        descriptors=[listener.fileno() for listener in installation.listeners],
    )
    siblings = [
        proxy,
        Program(
            "hub",
            [python, "-m", "jupyterhub", "-f", str(installation.hub_config)],
            base | for_hub(os.environ),
            folder / "hub.log",
            fork_server=fork_server,
        ),
        Program("desk", [python, "-m", "spawner.cli", "desk"], base, folder / "desk.log", fork_server=fork_server),
        Program(
            "steward", [python, "-m", "spawner.cli", "steward"], base, folder / "steward.log", fork_server=fork_server
        ),
    ]
    if installation.demo_cloud:
        siblings.insert(0, Program(DEMO_CLOUD, installation.demo_cloud, base, folder / f"{DEMO_CLOUD}.log"))
    return siblings


async def up(installation: Installation, fork_server: ForkServer | None = None) -> None:
    """Run until SIGINT, SIGTERM, or the terminal is closed (SIGHUP)."""
    settings = installation.settings
    spare_the_platform()
    stopping = asyncio.Event()
    ends_us = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        ends_us.append(signal.SIGHUP)
    for number in ends_us:
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    siblings = programs(installation, fork_server)
    keeping = [asyncio.create_task(program.keep_running(), name=program.name) for program in siblings]
    keeping.append(
        asyncio.create_task(
            logs.keep_small([program.log_file for program in siblings], largest=int(settings.log_megabytes * 1e6))
        )
    )
    try:
        async with liveness.watching(settings, siblings):
            await _announce(installation, siblings, stopping)
            await stopping.wait()
    finally:
        say("Stopping. All notebooks are stopped and their files deleted.")
        # The steward first: what it saw ending it would only try to explain.
        *others, steward = siblings
        await steward.end()
        await asyncio.gather(*(program.end() for program in others))
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        if fork_server is not None:
            fork_server.close()
        await end_everything(settings)
        for listener in installation.listeners:
            listener.close()
        if settings.sockets is not None:
            shutil.rmtree(settings.sockets, ignore_errors=True)


async def _announce(installation: Installation, siblings: list[Program], stopping: asyncio.Event) -> None:
    """Say that it is ready only when a person who clicks the link gets what they came for."""
    settings = installation.settings
    started = time.monotonic()
    say(f"Starting {', '.join(program.name for program in siblings)}…")
    async with aiohttp.ClientSession() as session:
        pool = make_pool(settings, session=session, epoch="up")
        began = pool.now()
        try:
            while not await _is_ready(settings):
                await _pause(stopping)
                if stopping.is_set():
                    return
                if time.monotonic() - started > READY_SECONDS:
                    tails = "\n".join(f"--- {program.name} ---\n{program.last_words()}" for program in siblings)
                    raise SetupError(
                        "Not ready after {seconds} s.\n{tails}",
                        next_step="The logs are in {logs}.",
                        seconds=READY_SECONDS,
                        tails=tails,
                        logs=settings.state / "logs",
                    )
            say(f"The pages answer (after {time.monotonic() - started:.1f} s). Starting the first notebook…")
            failure = await _wait_for_a_slot(pool, stopping, since=began)
        finally:
            await pool.close()
        address = await where_to_log_in(session, settings)
    if settings.isolation is Isolation.NONE:
        say("WARNING: --unsafe-no-sandbox: notebooks are not isolated from each other or from this machine.")
    if network_warning := warning(settings):
        say(network_warning)
    notice = startup_notice(settings.public_url, settings.subdomain_host, guards_pages=settings.guards_pages)
    if notice:
        say(notice)
    if failure is not None:
        say(f"WARNING: a notebook could not be created, so starts may fail: {failure}. Logs: {settings.state / 'logs'}")
    if settings.is_demo and settings.paid and settings.paid.oauth:
        say(f"DEMO: this is a simulated cloud. No real money is charged. Its console: {settings.paid.oauth.issuer}/")
    say(f"Freepool is ready (in {time.monotonic() - started:.1f} s). Open: {address}")


async def _wait_for_a_slot(pool: Pool, stopping: asyncio.Event, *, since: datetime) -> str | None:
    """Wait for the first slot, where any is to wait for people; say why where none will. `since` is when we began."""
    while not stopping.is_set() and (now := pool.now()) - since < timedelta(seconds=READY_SECONDS):
        snapshot = await pool.ledger.aread(read_demand, now=now)
        targets = warm_targets(
            pool.catalog,
            pool.backend,
            demand=snapshot.demand,
            controls=snapshot.controls,
            tickets=snapshot.tickets,
            now=now,
        )
        if not any(target.slots for target in targets.values()):
            return None
        if any(slot.warm_at is not None for slot in snapshot.slots):
            return None
        failed = await pool.ledger.aread(slots.failures, since=since)
        if failed:
            return failed[0].detail or "it ended at once"
        await _pause(stopping)
    return None if stopping.is_set() else "none became ready in time"


async def _is_ready(settings: Settings) -> bool:
    """Asked of our own proxy by loopback: this machine may have no way to the address that browsers use."""
    for path in HEALTH_PATHS:
        if not await liveness.answers(settings.local_url + path, seconds=2):
            return False
    return True


async def _pause(stopping: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)


async def end_everything(settings: Settings) -> None:
    """End every instance and every slot, known or not, and record it in the ledger."""
    async with aiohttp.ClientSession() as session:
        pool = make_pool(settings, session=session, epoch="up")
        try:
            unended = await pool.ledger.aread(instances.unended)
            await asyncio.gather(*(pool.end(instance.id, EndReason.SHUTDOWN) for instance in unended))
            known = [slot.id for slot in await pool.ledger.aread(slots.occupying)]
            found = {*known, *await pool.backend.list()}
            await asyncio.gather(*(pool.destroy_slot(slot_id, EndReason.SHUTDOWN) for slot_id in found))
        except FreepoolError as error:
            say(f"Some of it could not be ended: {error}")
        finally:
            await pool.close()
    remove_drafts(settings.slots_dir)


def say(line: str) -> None:
    """One line for the person at the terminal, if there still is one: a closed terminal must not stop the clean-up."""
    try:
        sys.stdout.write(printable(line) + "\n")
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
