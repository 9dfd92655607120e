"""A whole Freepool behind an address that this machine cannot reach: its port, its logs, and programs that stand still.

The address is https and IPv6, from the range for documentation. The state folder is one of an older version.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml

from spawner.settings import LOOPBACK
from tests.lean import with_lean
from tests.stack import NO_TLS, Stack, eventually, running_stack, write_catalog

PUBLIC = "https://[2001:db8::1]:8443/"
ANSWER_SECONDS = 6
LOG_BYTES = 100_000
FOUR = ("proxy", "hub", "desk", "steward")
LISTENS = "0A"


@pytest.fixture(scope="module")
def stack(lean: Path) -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    state = folder / "s"
    (state / "secrets").mkdir(parents=True)
    for name in ("ledger.sqlite", "jupyterhub.sqlite"):
        (state / name).touch()
        (state / name).chmod(0o644)
    state.chmod(0o755)
    settings = yaml.safe_load(lean.read_text()) | {
        "catalog": str(write_catalog(folder / "catalog.yaml", with_lean)),
        "address": "::",
        "public": PUBLIC,
        "answer_seconds": ANSWER_SECONDS,
        "log_megabytes": LOG_BYTES / 1e6,
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    try:
        with running_stack(state, settings=folder / "settings.yaml") as running:
            running.url = running.settings.local_url.rstrip("/")
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ready(stack: Stack) -> bool:
    """Whether hub and desk answer through the proxy."""
    with contextlib.suppress(httpx.HTTPError):
        paths = ("hub/health", "services/desk/health")
        return all(stack.http.get(f"{stack.url}/{path}", timeout=5).status_code == 200 for path in paths)
    return False


def listening(pid: int) -> set[int]:
    """Ports that a process listens on."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(link.readlink()).removeprefix("socket:[").rstrip("]"))
    return {
        int(fields[1].rpartition(":")[2], 16)
        for table in ("tcp", "tcp6")
        for fields in (line.split() for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:])
        if fields[3] == LISTENS and fields[9] in inodes
    }


def test_it_starts_although_this_machine_cannot_reach_its_public_address(stack: Stack) -> None:
    assert stack.link.startswith(f"{PUBLIC}hub/link?")
    with socket.create_connection(("::1", stack.port)) as client:
        client.sendall(b"GET /hub/health HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_the_hubs_cookies_are_secure_where_browsers_use_https(stack: Stack) -> None:
    page = stack.http.get(f"{stack.url}/hub/login")
    cookies = page.headers.get_list("Set-Cookie")
    assert cookies
    assert all("secure" in [part.strip().lower() for part in cookie.split(";")] for cookie in cookies), cookies


def test_a_state_folder_that_was_open_to_others_is_closed(stack: Stack) -> None:
    assert stat.S_IMODE(stack.state.stat().st_mode) == 0o700
    files = [*stack.state.glob("*.sqlite*"), *stack.state.glob("*.json"), *stack.state.glob("logs/*")]
    assert {file.name for file in files} >= {"ledger.sqlite", "jupyterhub.sqlite", "settings.json", "hub.log"}
    assert {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in files if file.stat().st_mode & 0o077} == {}


def test_only_the_proxy_has_a_port_and_the_supervisor_holds_it(stack: Stack) -> None:
    ports = {name: set[int]().union(*(listening(pid) for pid in stack.pids(name))) for name in FOUR}
    assert ports == {"proxy": {stack.port}, "hub": set(), "desk": set(), "steward": set()}
    assert listening(stack.process.pid) == {stack.port}
    assert stack.settings.sockets is not None
    assert {path.name for path in stack.settings.sockets.iterdir()} == {"hub.sock", "desk.sock", "proxy.sock"}


def test_a_killed_proxy_loses_neither_port_nor_requests(stack: Stack) -> None:
    stack.add_user("ann")
    stack.run("ann")
    before = stack.pids("proxy")
    stack.kill("proxy")
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            thief.bind((LOOPBACK, stack.port))
    # The connections wait in the queue of the socket until the next proxy takes them.
    paths = ("hub/health", "services/desk/health", "user/ann/api/status")
    assert [stack.http.get(f"{stack.url}/{path}").status_code for path in paths] == [200, 200, 200]
    assert stack.pids("proxy") != before
    assert stack.stop("ann").status_code in (202, 204)


def test_what_lives_but_does_not_answer_is_started_again_and_notebooks_go_on(stack: Stack) -> None:
    stack.add_user("cleo")
    stack.run("cleo")
    (slot,) = (instance.slot_id for instance in stack.unended())
    before = {name: stack.pids(name) for name in FOUR}
    assert all(len(pids) == 1 for pids in before.values()), before
    for (pid,) in before.values():
        os.kill(pid, signal.SIGSTOP)
    for name, old in before.items():
        eventually(
            lambda name=name, old=old: (now := stack.pids(name)) and now != old,
            seconds=ANSWER_SECONDS * 5,  # thrice that, which one needs that was stopped before its first answer
            what=f"another {name}",
        )
    eventually(lambda: ready(stack), seconds=30, what="the pages")
    assert stack.http.get(f"{stack.url}/user/cleo/api/status").status_code == 200
    assert [instance.slot_id for instance in stack.unended()] == [slot]
    assert stack.stop("cleo").status_code in (202, 204)


def test_large_bodies_of_anybody_cost_the_hub_no_memory(stack: Stack) -> None:
    def memory() -> int:
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in stack.pids("hub")) * 4096

    body = b"x" * 60_000_000
    before = memory()
    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(lambda _: stack.http.post(f"{stack.url}/hub/login", content=body), range(4)))
    assert [answer.status_code for answer in answers] == [413] * 4
    assert memory() - before < 30_000_000


def test_a_tokens_note_is_short(stack: Stack) -> None:
    stack.add_user("ann")
    assert stack.api("POST", "/users/ann/tokens", json={"note": "x" * 2_000_000}).status_code == 413
    long = stack.api("POST", "/users/ann/tokens", json={"note": "x" * 2_000})
    assert (long.status_code, long.json()["message"]) == (400, "note is too long: at most 1023 characters.")


def test_anonymous_requests_do_not_fill_the_disk(stack: Stack) -> None:
    logs = stack.state / "logs"
    over = threading.Event()

    def flood(number: int) -> None:
        with httpx.Client(verify=NO_TLS, timeout=60) as client:
            while not over.is_set():
                client.get(f"{stack.url}/hub/nothing/{'x' * 4000}{number}")
                client.get(f"{stack.url}/services/desk/nothing/{'x' * 4000}{number}")

    def turned_over() -> bool:
        return all((logs / f"{name}.log.1").exists() for name in ("hub", "desk"))

    with ThreadPoolExecutor(3) as crowd:
        for number in range(3):
            crowd.submit(flood, number)
        try:
            eventually(turned_over, seconds=90, what="the logs' turn")
            mark = f"mark{os.urandom(4).hex()}"
            stack.http.get(f"{stack.url}/hub/{mark}")
            eventually(lambda: mark in stack.log("hub") + (logs / "hub.log.1").read_text(), what="the log goes on")
        finally:
            over.set()
    eventually(lambda: all(log.stat().st_size <= LOG_BYTES for log in logs.glob("*.log")), seconds=5, what="small logs")
    assert {path.name for path in logs.iterdir()} <= {f"{name}.log{end}" for name in FOUR for end in ("", ".1")}
