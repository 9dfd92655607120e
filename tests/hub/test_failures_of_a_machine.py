"""Single failures: each gives a clear message, a correct ledger, and leaves no process behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import text

from spawner.catalog import load_catalog
from spawner.instance.sealing import slot_key
from spawner.ledger import EndReason, Instance, InstanceState, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.people import people
from spawner.ledger.pool import instances
from spawner.pool.backends.base import SlotSpec
from spawner.pool.build import make_backend
from tests.hub.deadlines import reach_end
from tests.hub.queue_users import alive
from tests.lean import with_lean
from tests.stack import PROJECT, Stack, eventually, free_port, running_stack, write_catalog


def freepool(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the `freepool` command until it ends."""
    command = [sys.executable, "-m", "spawner.cli", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=timeout, check=False)


def processes_of(state: Path) -> list[str]:
    """Command lines of live processes that have a state folder in their arguments or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
                variables = (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(state).encode() in command + variables:
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def instance_of(stack: Stack, user: str):  # type: ignore[no-untyped-def]
    """The user's unended instance, or None."""
    return next((instance for instance in stack.unended() if instance.user_name == user), None)


def keeper_of(stack: Stack, slot_id: str) -> int:
    """Process id of a slot's keeper."""
    return int(json.loads((stack.settings.slots_dir / slot_id / "status.json").read_text())["pid"])


def wait_for_order(stack: Stack, seconds: float = 30) -> None:
    """Wait until the ledger matches the slot folders and every unended instance runs in a slot."""
    deadline = time.monotonic() + seconds
    while True:
        rows, folders, unended = stack.slots(), stack.slot_folders(), stack.unended()
        known = {slot.id for slot in rows}
        if folders == known and all(instance.state == "running" and instance.slot_id in known for instance in unended):
            return
        assert time.monotonic() < deadline, f"rows {rows}\nfolders {folders}\ninstances {unended}"
        time.sleep(0.1)


# --- before anything starts ------------------------------------------------------------------------------------------


def test_a_broken_catalog_stops_the_start_and_lists_every_mistake(state: Path) -> None:
    catalog = write_catalog(state / "catalog.yaml", lambda data: data["flavors"][0].update(cpu=-1, colour="red"))
    ended = freepool("up", "--state", str(state / "s"), "--port", str(free_port()), "--catalog", str(catalog))
    assert ended.returncode == 1
    assert "2 mistakes" in ended.stderr
    assert "cpu" in ended.stderr
    assert "colour" in ended.stderr
    assert not (state / "s").exists()


def test_a_used_port_gives_a_message_of_one_line(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = freepool("up", "--state", str(state / "s"), "--port", str(port))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"Port {port} cannot be used" in ended.stderr
    assert "PORT=" in ended.stderr


def test_a_damaged_ledger_stops_the_start_with_a_message(state: Path) -> None:
    (state / "ledger.sqlite").write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    ended = freepool("up", "--state", str(state), "--port", str(free_port()))
    assert ended.returncode == 1
    assert "damaged" in ended.stderr
    assert "backup" in ended.stderr


def test_a_ledger_of_a_newer_version_is_refused(state: Path) -> None:
    (state / "s").mkdir(mode=0o700)
    engine = make_engine(f"sqlite:///{state / 's' / 'ledger.sqlite'}")
    migrate(engine)
    with engine.execution_options(freepool_write=True).begin() as connection:
        connection.execute(text("UPDATE freepool_version SET version_num = '9999'"))
    engine.dispose()
    ended = freepool("up", "--state", str(state / "s"), "--port", str(free_port()))
    assert ended.returncode == 1
    assert "newer version of Freepool" in ended.stderr


# --- while it runs ---------------------------------------------------------------------------------------------------


def test_a_second_supervisor_on_the_same_state_is_refused(shared_stack: Stack) -> None:
    ended = freepool("up", "--state", str(shared_stack.state), "--port", str(free_port()))
    assert ended.returncode == 1
    assert "already runs" in ended.stderr


def test_a_start_replaces_a_warm_slot_that_died(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("unlucky")
    stack.wait_warm()
    for slot in stack.slots():
        if slot.state == "warm":
            os.kill(keeper_of(stack, slot.id), signal.SIGKILL)
    stack.run("unlucky")
    assert instance_of(stack, "unlucky").state == "running"
    stack.stop("unlucky")
    wait_for_order(stack)


def test_a_slot_that_dies_between_claim_and_answer_is_replaced(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("unluckier")
    stack.wait_warm()
    killed: list[str] = []

    def kill_first_claimed() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not killed:
            instance = instance_of(stack, "unluckier")
            if instance and instance.slot_id:
                os.kill(keeper_of(stack, instance.slot_id), signal.SIGKILL)
                killed.append(instance.slot_id)

    killer = threading.Thread(target=kill_first_claimed)
    killer.start()
    answer = stack.start("unluckier")
    killer.join()
    assert killed
    assert answer.status_code in (201, 202)
    # Either the slot was replaced in time, or it had already answered and its end was noticed later.
    wait_for_order(stack)
    instance = instance_of(stack, "unluckier")
    assert instance is None or instance.slot_id != killed[0]
    stack.stop("unluckier")


def test_an_instance_ends_at_its_deadline_and_its_user_reads_why(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("late")
    stack.run("late")
    instance = instance_of(stack, "late")
    assert instance.ends_at - instance.usable_at == timedelta(minutes=240)
    ledger = stack.ledger
    reach_end(ledger, instance.id, instance.person_id)
    eventually(lambda: stack.api("GET", "/users/late").json()["servers"] == {}, what="the end at the deadline")
    last = eventually(lambda: ledger.read(instances.last_ended, stack.person_of("late")))
    assert last.reason is EndReason.DEADLINE
    assert instance.slot_id not in stack.slot_folders()
    said = stack.desk("GET", "api/state", token=stack.user_token("late")).json()["last"]
    assert "time limit" in said["text"]


async def test_a_slot_without_a_ledger_row_is_destroyed(shared_stack: Stack) -> None:
    stack = shared_stack
    settings = stack.settings
    catalog = load_catalog(settings.catalog)
    backend = make_backend(settings, catalog)
    await backend.create(SlotSpec("deadbeef", catalog.flavors[0], catalog.images[0], slot_key(b"x", "deadbeef")))
    deadline = asyncio.get_running_loop().time() + 15
    while "deadbeef" in await backend.list():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.1)
    assert "slot deadbeef ends: orphaned" in stack.log("steward")  # it may have ended before the first list


def test_an_instance_whose_slot_is_gone_is_ended(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("robbed")
    stack.run("robbed")
    instance = instance_of(stack, "robbed")
    os.kill(keeper_of(stack, instance.slot_id), signal.SIGKILL)
    eventually(lambda: instance_of(stack, "robbed") is None, what="the end")
    eventually(lambda: stack.api("GET", "/users/robbed").json()["servers"] == {}, what="the hub's notice")
    wait_for_order(stack)


def test_two_stewards_keep_one_warm_slot(shared_stack: Stack) -> None:
    stack = shared_stack
    second = subprocess.Popen(
        [sys.executable, "-m", "spawner.cli", "steward"],
        env={**os.environ, "FREEPOOL_SETTINGS": str(stack.state / "settings.json")},
        stderr=subprocess.DEVNULL,
    )
    try:
        stack.add_user("between")
        for _ in range(2):
            stack.wait_warm()
            stack.run("between")
            stack.stop("between")
        wait_for_order(stack)
        stack.wait_warm()
        assert len([slot for slot in stack.slots() if slot.holder_id is None]) == 1
    finally:
        second.terminate()
        second.wait(20)


# --- the platform's own processes ------------------------------------------------------------------------------------


STEPS = (("cpu-large", 0.25), ("cpu-large", 0.15), ("cpu-basic", 0.1), ("cpu-basic", 0.0))
"""Starts of four users, one after the other: of which flavor, and how long after its row the next thing happens."""
WITNESS = "jupyterlab"
"""The image with a real notebook; the others are only started and stopped."""


def test_instances_survive_kills_of_hub_and_supervisor_and_ctrl_c_ends_them(state: Path, lean: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        with_lean(data)
        data["images"].append(data["images"][0] | {"id": WITNESS, "environment": "light"})
        for flavor in data["flavors"]:
            flavor["reserve"] = "512MiB"

    catalog = write_catalog(state / "catalog.yaml", change)
    with running_stack(state / "s", catalog=catalog, settings=lean) as first:
        _a_hub_killed_during_starts_recovers(first)
        first.add_user("survivor")
        first.run("survivor", image=WITNESS)
        forgotten = first.state / "tmp" / "forgotten"  # as a killed client of Kubernetes leaves its certificates
        forgotten.touch()
        survivor = instance_of(first, "survivor")
        first.process.kill()
        first.process.wait()
    eventually(lambda: not any("spawner.cli" in line for line in processes_of(state)), what="the end of its programs")
    (state / "s" / "slots" / ".draft").mkdir()  # as a program leaves it that is killed while it creates a slot
    former = free_port()  # the hub's own, which notebooks of version 0.1 know
    (state / "s" / "ports.json").write_text(json.dumps({"hub_port": former}))
    port = ("--port", str(first.port))  # instances know it
    with running_stack(state / "s", catalog=catalog, settings=lean, arguments=port) as second:
        assert second.http.get(f"http://127.0.0.1:{former}/hub/api/").status_code == 200
        assert not forgotten.exists()
        assert not (state / "s" / "slots" / ".draft").exists()
        (state / "s" / "slots" / ".another-draft").mkdir()
        _an_instance_that_outlived_the_supervisor_is_adopted(second, survivor)
        second.add_user("guest")
        second.run("guest")
        assert processes_of(state)
    _ctrl_c_left_no_process_and_is_recorded_in_the_ledger(state, "guest")


def _a_hub_killed_during_starts_recovers(stack: Stack) -> None:
    """One kill meets four starts, each at another step."""
    starts = {f"mid{number}": step for number, step in enumerate(STEPS)}
    for user in starts:
        stack.add_user(user)
    starting = []
    for user, (flavor, pause) in starts.items():
        starting.append(threading.Thread(target=_start_ignoring_errors, args=(stack, user, flavor)))
        starting[-1].start()
        eventually(lambda user=user: instance_of(stack, user), what="the row")
        time.sleep(pause)  # varies at which step of the start the hub dies
    assert InstanceState.STARTING in {instance.state for instance in stack.unended()}
    stack.kill("hub")
    for start in starting:
        start.join()
    eventually(lambda: _answers(stack), seconds=40, what="the hub")
    for user in starts:
        eventually(lambda user=user: _is_agreed(stack, user), seconds=60, what=f"one word of hub and ledger on {user}")
    wait_for_order(stack, 40)
    for user in starts:
        stack.stop(user)
        eventually(lambda user=user: instance_of(stack, user) is None, what=f"the stop of {user}")
        stack.run(user)
        stack.stop(user)


def _is_agreed(stack: Stack, user: str) -> bool:
    """Hub and ledger agree, and no ticket is live: a lost start is tried again."""
    has_tickets = bool(alive(stack))
    server = stack.api("GET", f"/users/{user}").json()["servers"].get("")
    instance = instance_of(stack, user)
    return not has_tickets and bool(server and server["ready"]) == (
        instance is not None and instance.state == "running"
    )


def _start_ignoring_errors(stack: Stack, user: str, flavor: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        stack.start(user, flavor=flavor)


def _answers(stack: Stack) -> bool:
    try:
        return stack.http.get(f"{stack.url}/hub/api/", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _an_instance_that_outlived_the_supervisor_is_adopted(stack: Stack, before: Instance) -> None:
    assert instance_of(stack, before.user_name).id == before.id
    path = f"/users/{before.user_name}"
    eventually(lambda: stack.api("GET", path).json()["servers"][""]["ready"], what="adoption")
    headers = {"Authorization": f"token {stack.user_token(before.user_name)}"}
    answer = stack.http.get(f"{stack.url}/user/{before.user_name}/api/status", headers=headers)
    assert answer.status_code == 200
    assert stack.stop(before.user_name).status_code in (202, 204)


def _ctrl_c_left_no_process_and_is_recorded_in_the_ledger(state: Path, user: str) -> None:
    assert processes_of(state) == []
    assert list((state / "s" / "slots").iterdir()) == []
    with closing(open_ledger(f"sqlite:///{state / 's' / 'ledger.sqlite'}")) as ledger:
        assert ledger.read(instances.unended) == []
        last = ledger.read(instances.last_ended, ledger.read(people.of_name, user)[0].id)
    assert last is not None
    assert last.reason is EndReason.SHUTDOWN


def test_secrets_have_private_files_and_are_in_no_log(shared_stack: Stack) -> None:
    state = shared_stack.state
    assert state.stat().st_mode & 0o077 == 0
    (proxy,) = shared_stack.pids("proxy")  # of the others: test_fork_server.py
    assert psutil.Process(proxy).environ()["TMPDIR"] == str(state / "tmp")
    for secret in (state / "secrets").iterdir():
        assert secret.stat().st_mode & 0o077 == 0, secret.name
    for name in ("hub", "desk", "steward", "proxy"):
        log = shared_stack.log(name)
        for secret in ("slots", "link", "proxy", "desk", "steward", "people"):
            assert shared_stack.settings.secret(secret) not in log, f"{secret} in {name}.log"
        assert shared_stack.token not in log
