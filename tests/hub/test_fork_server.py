"""Hub, desk and steward are forked from the fork server, and come back with it and without it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.stack import Stack, eventually, running_stack, write_catalog

FORKED = ("hub", "desk", "steward")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def answers(stack: Stack) -> bool:
    return all(
        stack.http.get(f"{stack.url}{path}").status_code == 200 for path in ("/hub/health", "/services/desk/health")
    )


def test_programs_come_back_from_the_fork_server_and_without_it(state: Path, lean: Path) -> None:
    catalog = write_catalog(state / "catalog.yaml")
    with running_stack(state / "s", catalog=catalog, settings=lean) as stack:
        (hub,) = stack.pids("hub")
        fork_server = parent_of(hub)
        assert parent_of(fork_server) == stack.process.pid
        assert [parent_of(pid) for name in FORKED for pid in stack.pids(name)] == [fork_server] * 3

        stack.kill("hub")
        eventually(lambda: stack.pids("hub") not in ([], [hub]), what="another hub")
        (hub,) = stack.pids("hub")
        assert parent_of(hub) == fork_server
        eventually(lambda: answers(stack), what="an answer")
        stack.add_user("stays")
        running = stack.run("stays")

        before = {pid for name in FORKED for pid in stack.pids(name)}
        os.kill(fork_server, signal.SIGKILL)
        eventually(
            lambda: all(stack.pids(name) and before.isdisjoint(stack.pids(name)) for name in FORKED), what="all three"
        )
        assert {parent_of(pid) for name in FORKED for pid in stack.pids(name)} == {stack.process.pid}
        eventually(lambda: answers(stack), what="an answer")
        assert [instance.id for instance in stack.unended()] == [running.id]
        assert stack.stop("stays").status_code in (202, 204)
    assert sum("ended (-9)" in line for line in stack.output) == 4
    assert any("are started without it" in line for line in stack.output)
