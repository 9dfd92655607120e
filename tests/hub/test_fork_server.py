"""Hub, desk and steward are forked from the fork server, and come back with it and without it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import yaml

from tests.stack import PROJECT, Stack, eventually, running_stack, write_catalog

FORKED = ("hub", "desk", "steward")
SAYS_WHAT_IT_HAS = """
import os, tempfile
print("has", os.environ["TMPDIR"], tempfile.gettempdir(), "FREEPOOL_NOT_PASSED_ON" in os.environ)
"""


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def answers(stack: Stack) -> bool:
    return all(
        stack.http.get(f"{stack.url}{path}").status_code == 200 for path in ("/hub/health", "/services/desk/health")
    )


def test_programs_come_back_from_the_fork_server_and_without_it(
    state: Path, lean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEPOOL_NOT_PASSED_ON", "x")
    catalog = write_catalog(state / "catalog.yaml")
    config = state / "jupyterhub_config.py"
    config.write_text((PROJECT / "hub_config" / "jupyterhub_config.py").read_text() + SAYS_WHAT_IT_HAS)
    settings = state / "settings.yaml"
    settings.write_text(yaml.safe_dump(yaml.safe_load(lean.read_text()) | {"hub_config": str(config)}))
    with running_stack(state / "s", catalog=catalog, settings=settings) as stack:
        (hub,) = stack.pids("hub")
        fork_server = parent_of(hub)
        assert parent_of(fork_server) == stack.process.pid
        assert [parent_of(pid) for name in FORKED for pid in stack.pids(name)] == [fork_server] * 3

        has = f"has {stack.state / 'tmp'} {stack.state / 'tmp'} False"
        assert stack.log("hub").count(has) == 1

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
        assert stack.log("hub").count(has) == 3, "forked twice, executed once"
        assert [instance.id for instance in stack.unended()] == [running.id]
        assert stack.stop("stays").status_code in (202, 204)
    assert sum("ended (-9)" in line for line in stack.output) == 4
    assert any("are started without it" in line for line in stack.output)
