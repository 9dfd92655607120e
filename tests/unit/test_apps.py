"""Apps on ports: who may see them, what counts as use, what runs. tests/hub/test_apps.py has a real one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from spawner.hub.apps import rules_of
from spawner.instance.activity import INPUT, activity
from spawner.instance.apps import tools
from spawner.instance.apps.access import MOST_SHARES, OWNER_SECONDS, TICKET_SECONDS, Access
from spawner.instance.apps.ports import chosen_listeners, is_listening, serving
from spawner.instance.apps.rules import Off, Rules, read_rules
from spawner.instance.apps.state import SETTING, Apps
from spawner.instance.apps.use import SHORTEST, Uses, changes_something
from spawner.instance.program_tokens import LIFE_SECONDS, MOST, ProgramTokens
from spawner.settings import Isolation, Settings
from spawner.user_hosts import app_hosts, host_of_user
from tests.unit.test_instance_activity import app as server

NOW = 1_800_000_000.0
PORT = 7860
ORIGIN = "https://p7860--ann.lab.example.org"
PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


# --- hosts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["p7860--ann", "p1--x", "P7860--ann", "a" * 56])
def test_no_user_gets_an_apps_host_or_one_without_room_for_a_port(name: str) -> None:
    label = host_of_user(name, "lab.example.org").split(".")[0]
    assert label.startswith("u-")
    assert len(f"p65535--{label}") <= 63


def test_an_apps_host_is_below_the_same_domain() -> None:
    assert host_of_user("a" * 55, "localhost") == f"{'a' * 55}.localhost"
    rules = Rules(hosts=app_hosts("https://ann.lab.example.org/"))
    assert (rules.origin(PORT), rules.host(PORT)) == (ORIGIN, "p7860--ann.lab.example.org")
    assert (rules.lab_origin, rules.is_secure) == ("https://ann.lab.example.org", True)
    rules = Rules(hosts=app_hosts("http://ann.localhost:8000"))
    assert (rules.host(PORT), rules.is_secure) == ("p7860--ann.localhost", False)


# --- what an instance is told ----------------------------------------------------------------------------------------


def rules_for(settings: dict[str, Any], **options: Any) -> Rules:
    known: dict[str, Any] = {"catalog": "/x", "state": "/x", "examples": "/x", "sockets": "/x", "public_port": 8000}
    given = {"user_url": "http://ann.localhost:8000", "path": "/user/ann/", "leads_to_apps": True} | options
    made = rules_of(Settings(**known | {"network": {"means": "pasta"}} | settings), **given)
    assert read_rules({"FREEPOOL_APPS": made.to_json()}) == made
    return made


def test_apps_are_off_where_notebooks_share_a_loopback_interface_and_where_an_administrator_says_so() -> None:
    assert rules_for({}).off is Off.NOT
    assert rules_for({"network": {"means": "shared"}}).off is Off.SHARED_LOOPBACK
    assert rules_for({"isolation": Isolation.NONE}).off is Off.SHARED_LOOPBACK
    assert rules_for({"apps": {"enabled": False}}).off is Off.ADMIN
    assert rules_for({"kubernetes": {"namespace": "x"}, "network": {}}).off is Off.NOT
    assert read_rules({}).off is Off.UNKNOWN
    assert not Rules(off=Off.ADMIN).allows(PORT)


def test_links_for_others_need_a_host_of_the_apps_own() -> None:
    assert rules_for({}).share
    assert not rules_for({"apps": {"share": False}}).share
    for options in ({"user_url": ""}, {"leads_to_apps": False}):
        made = rules_for({}, **options)
        assert (made.share, made.hosts) == (False, "")


def test_the_platforms_own_ports_are_closed() -> None:
    """Those that lead out of a sandbox to hub and desk; in a pod the server's own."""
    here = rules_for({"links": {"also_allow": ["127.0.0.1:9418"]}})
    assert here.closed == (8000, 9418)
    pod = rules_for({"kubernetes": {"namespace": "x"}, "public": "https://lab.example.org"})
    assert pod.closed == (8888,)
    assert [port for port in (80, 1023, 1024, 8000, 8888, 65535, 65536) if here.allows(port)] == [1024, 8888, 65535]


def test_programs_on_one_machine_use_the_hubs_host() -> None:
    assert rules_for({}).programs == "http://localhost:8000/user/ann/"
    assert rules_for({}, user_url="https://ann.lab.example.org").programs == ""
    assert rules_for({"kubernetes": {"namespace": "x"}}).programs == "", "there is no relay"


# --- access ----------------------------------------------------------------------------------------------------------


def test_a_ticket_is_spent_once_within_a_minute_at_its_port() -> None:
    access = Access(clock := Clock())
    ticket = access.ticket(PORT)
    assert access.enter(ticket, PORT + 1) is None
    ticket = access.ticket(PORT)
    visit = access.enter(ticket, PORT)
    assert visit is not None
    assert visit.is_owner
    assert access.enter(ticket, PORT) is None
    late = access.ticket(PORT)
    clock.now += TICKET_SECONDS
    assert access.enter(late, PORT) is None
    for _ in range(300):
        access.ticket(PORT)
    assert len(access._tickets) <= 100


def test_a_cookie_is_for_one_port_of_one_instance_until_its_time() -> None:
    access = Access(clock := Clock())
    visit = access.enter(access.ticket(PORT), PORT)
    assert visit is not None
    cookie = access.cookie(visit, PORT)
    assert access.who(cookie, PORT) == visit
    assert access.who(cookie, PORT + 1) is None
    assert Access(clock).who(cookie, PORT) is None, "another instance"
    assert access.who(cookie.replace(f".{visit.until}.", f".{visit.until + 1}."), PORT) is None
    for wrong in ("", "owner", "owner.1.x.y", cookie + "0"):
        assert access.who(wrong, PORT) is None
    clock.now += OWNER_SECONDS
    assert access.who(cookie, PORT) is None


def test_a_share_ends_at_its_time_or_when_it_is_revoked_and_takes_its_visitors_along() -> None:
    access = Access(clock := Clock())
    made = access.share(PORT, 1)
    assert made is not None
    share, key = made
    assert access.shared(key, PORT) == share
    assert access.shared(key, PORT + 1) is None
    assert access.shared("x" * 43, PORT) is None
    cookie = access.cookie(access.visit(share), PORT)
    assert access.who(cookie, PORT) is not None
    forged = cookie.replace(share.id, "owner", 1)
    assert access.who(forged, PORT) is None, "a visitor is no owner"
    assert access.revoke(share.id)
    assert not access.revoke(share.id)
    assert access.who(cookie, PORT) is None
    other, key = access.share(PORT, 1) or (None, "")
    assert other is not None
    clock.now += 3600
    assert access.shared(key, PORT) is None
    assert access.shares == []
    assert sum(access.share(PORT, 1) is not None for _ in range(MOST_SHARES + 9)) == MOST_SHARES


def test_a_programs_token_ends_by_itself_and_when_all_are_revoked() -> None:
    tokens = ProgramTokens(clock := Clock())
    token, until = tokens.make({"name": "ann"})
    assert (tokens.user_of(token), until) == ({"name": "ann"}, NOW + LIFE_SECONDS)
    assert tokens.user_of("x") is None
    clock.now += LIFE_SECONDS
    assert tokens.user_of(token) is None
    token, _ = tokens.make({"name": "ann"})
    tokens.revoke()
    assert (tokens.user_of(token), tokens.count) == (None, 0)
    for _ in range(MOST + 5):
        tokens.make({})
    assert tokens.count == MOST


# --- use -------------------------------------------------------------------------------------------------------------


def uses(*times: float) -> list[bool]:
    seen = Uses()
    return [seen.is_use("browser", "POST /x", time) for time in times]


def test_a_poll_is_no_use_and_a_person_is() -> None:
    assert not any(uses(*(30.0 * n for n in range(40)))[3:]), "a reload of curves"
    jitter = [15 * n + (n % 3) for n in range(40)]
    assert not any(uses(*map(float, jitter))[3:]), "a heartbeat on a busy machine"
    assert all(uses(0, 7, 30, 34, 90, 95, 160)), "somebody who chats"
    assert all(uses(*(SHORTEST / 10 * n for n in range(20)))), "several requests of one action"
    found = uses(*(30.0 * n for n in range(9)), 247.0)
    assert (found[-2], found[-1]) == (False, True), "somebody comes between two polls"
    seen = Uses()
    for n in range(5000):
        seen.is_use(str(n), "x" * 1000, n)
    assert len(seen._times) <= 1000
    assert max(sys.getsizeof(key) for key in seen._times) < 100, "no whole addresses"


def test_what_reads_is_no_use_but_opening_a_page_is() -> None:
    assert changes_something("POST", {})
    assert changes_something("GET", PAGE)
    assert not changes_something("GET", {})
    assert not changes_something("GET", PAGE | {"Sec-Fetch-Dest": "iframe"})
    assert not changes_something("OPTIONS", {})


def test_a_visitor_is_input_and_an_open_page_is_a_tab() -> None:
    settings: dict[str, Any] = {}
    apps = settings[SETTING] = Apps(Rules(), "ann", settings)
    before = activity(server(), settings, NOW)
    share, _ = apps.access.share(PORT, 1) or (None, "")
    assert share is not None
    visit = apps.access.visit(share)
    streams = [SimpleNamespace(close=Mock()), SimpleNamespace(close=Mock())]
    with apps.connected(visit) as first, apps.connected(visit) as second:
        first.streams.append(streams[0])
        second.streams.append(streams[1])
        assert activity(server(), settings, NOW)["tabs"] == before["tabs"] + 1, "a page, not its connections"
        assert INPUT not in settings
        apps.note(visit.key, "POST /chat")
        assert settings[INPUT] > 0
        assert apps.revoke(share.id)
        assert [stream.close.call_count for stream in streams] == [1, 1]
        assert first.is_cut
    assert activity(server(), settings, NOW)["tabs"] == before["tabs"]


SHELL = """
import subprocess, sys
app = subprocess.Popen(["sleep", "60"], pass_fds=[int(sys.argv[1])])
job = subprocess.Popen(["sleep", "60"])
print("both run", flush=True)
app.wait()
"""


def test_an_app_that_runs_in_a_terminal_is_no_job_of_its_own() -> None:
    """One that was not opened may be anything, such as training that listens for its other parts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, held = listener.getsockname()[1], listener.fileno()
        command = [sys.executable, "-c", SHELL, str(held)]
        shell = subprocess.Popen(command, pass_fds=[held], stdout=subprocess.PIPE, start_new_session=True)
    with shell:
        try:
            assert shell.stdout is not None
            assert shell.stdout.readline() == b"both run\n"
            terminal = SimpleNamespace(ptyproc=SimpleNamespace(pid=shell.pid))
            settings: dict[str, Any] = {"terminal_manager": SimpleNamespace(terminals={"1": terminal})}
            apps = settings[SETTING] = Apps(Rules(), "ann", settings)
            assert activity(server(), settings, NOW)["terminals"][0]["children"] == 2
            apps.opened.add(port)
            assert activity(server(), settings, NOW)["terminals"][0]["children"] == 1
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


# --- what runs and what can be started -------------------------------------------------------------------------------


def test_ports_that_somebody_chose_are_listed_with_their_programs(tmp_path: Path) -> None:
    lines = [
        "  sl  local_address",
        *(f"0: {at} 00000000:0000 {state} 0 0 0 0 0 {inode}" for at, state, inode in SOCKETS),
    ]
    (tmp_path / "self/net").mkdir(parents=True)
    (tmp_path / "self/net/tcp").write_text("\n".join(lines))
    (tmp_path / "self/net/tcp6").write_text(f"sl\n0: {MAPPED}:1F91 0:0000 0A 0 0 0 0 0 506\n")
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "sys/net/ipv4/ip_local_port_range").write_text("32768\t60999\n")
    (tmp_path / "12/fd").mkdir(parents=True)
    (tmp_path / "12/fd/3").symlink_to("socket:[501]")
    (tmp_path / "12/cmdline").write_bytes(b"/usr/bin/python3\0app.py\0")
    (tmp_path / "12/stat").write_text("12 (a) b) S 11 0")
    (tmp_path / "11").mkdir()
    (tmp_path / "11/stat").write_text("11 (bash) S 0 0")
    found = chosen_listeners(tmp_path)
    assert [(one.port, one.program) for one in found] == [(7860, "python3 app.py"), (8081, ""), (8501, "")]
    assert is_listening(40000, tmp_path)
    assert is_listening(8081, tmp_path)
    assert not is_listening(9999, tmp_path)
    assert serving({7860}, tmp_path) == {"12", "11"}, "and what has started it"
    assert serving({8501, 9999}, tmp_path) == set()


MAPPED = "0000000000000000FFFF00000100007F"
"""::ffff:127.0.0.1, on which a Java program listens that was told 127.0.0.1."""
SOCKETS = [
    ("0100007F:1EB4", "0A", 501),
    ("00000000:2135", "0A", 502),
    ("0100007F:9C40", "0A", 503),  # a kernel's
    ("0100007F:270F", "01", 504),  # a connection
    ("6402000A:1F90", "0A", 505),  # the instance's own address
]


def test_tools_are_offered_where_they_are_installed() -> None:
    def ids(*programs: str, modules: bool = True, has_hosts: bool = True) -> list[str]:
        found = tools.installed(
            lambda name: name if name in programs else None, lambda *_: modules, has_hosts=has_hosts
        )
        return [tool.id for tool in found]

    every = ("swift", "evalscope", "tensorboard", "gradio", "streamlit", "vllm")
    assert ids() == []
    assert ids(*every) == list(every)
    assert "evalscope" not in ids(*every, has_hosts=False), "its page uses absolute paths"
    assert "swift" not in ids("swift", modules=False), "its page needs gradio"
    pytest_here = str(Path(sys.executable).with_name("pytest"))
    assert tools.has_module(pytest_here, "pytest")
    assert not tools.has_module(pytest_here, "no_such_module")


def test_a_tool_of_another_environment_runs_on_its_python_and_has_its_packages(tmp_path: Path) -> None:
    python, program = tmp_path / "tools/bin/python", tmp_path / "tools/bin/gradio"
    (tmp_path / "tools/lib/python3.11/site-packages/gradio").mkdir(parents=True)
    program.parent.mkdir()
    program.write_text(f"#!{python}\nimport sys\n")
    (tmp_path / "gradio").symlink_to(program)
    linked = str(tmp_path / "gradio")
    assert tools.has_module(linked, "gradio")
    assert not tools.has_module(linked, "pytest"), "Jupyter's packages are not the tool's"
    gradio = next(tool for tool in tools.TOOLS if tool.id == "gradio")
    line = tools.command(gradio, port=7860, root=tmp_path, prefix="", program=linked)
    assert line == f"{python} gradio_app.py"
    assert tools.command(gradio, port=7860, root=tmp_path, prefix="") == f"{Path(sys.executable).name} gradio_app.py"


def test_apps_on_a_path_know_it_and_apps_on_a_host_know_none(tmp_path: Path) -> None:
    board = next(tool for tool in tools.TOOLS if tool.id == "tensorboard")
    at = tools.command(board, port=6006, root=tmp_path, prefix="/user/ann/proxy/{port}")
    assert at.endswith(f"--logdir {tmp_path} --path_prefix=/user/ann/proxy/6006")
    assert tools.command(board, port=6006, root=tmp_path, prefix="").endswith("--path_prefix=")
    assert tools.variables("/user/ann/proxy/{port}")["GRADIO_ROOT_PATH"] == "/user/ann/proxy/7860"
    assert "GRADIO_ROOT_PATH" not in tools.variables("")
    gradio = next(tool for tool in tools.TOOLS if tool.id == "gradio")
    tools.lay_out(gradio, tmp_path)
    (tmp_path / gradio.file).write_text("mine")
    tools.lay_out(gradio, tmp_path)
    assert (tmp_path / gradio.file).read_text() == "mine"
    for tool in tools.TOOLS:
        if tool.text:
            compile(tool.text, tool.file, "exec")
