"""What the suite promises of itself: a failure shows logs, a run leaves nothing behind, a skip is said at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.cluster.network import NUMBER_VARIABLE, ON_CLUSTER, SCRIPTS, namespace_file, usual_cache
from tests.session import leftovers, logs, schedule
from tests.stack import PROJECT

CONFIGURATION = "[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = -p no:schemathesis\n"
CAREFUL = """
import pytest

def test_it(tmp_path, state):
    (tmp_path / "file").touch()

def test_elsewhere():
    pytest.skip("the torch image is not installed")
"""
CARELESS = """
import subprocess, tempfile

STARTED = []

def test_hidden():
    command = ["env", "-i", "/bin/sleep", "611"]
    STARTED.append(subprocess.Popen(command, start_new_session=True, cwd="/"))

def test_it():
    tempfile.mkdtemp(prefix="forgotten-")
    STARTED.append(subprocess.Popen(["sleep", "600"], start_new_session=True))
"""
APART = """
import os

def test_apart():
    os.mkdir({folder!r})
"""


def run_suite(folder: Path, text: str, *options: str, **variables: str) -> tuple[int, str]:
    """Run some tests as this suite runs its own. The exit code, and what was printed."""
    (folder / "conftest.py").write_text("from tests.conftest import *\n")
    (folder / "pytest.ini").write_text(CONFIGURATION)
    (folder / "test_some.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder for a run to make outside of its own."""
    folder = Path(tempfile.mkdtemp(prefix="apart-", dir="/dev/shm"))
    folder.rmdir()
    yield folder
    folder.rmdir()


def test_a_run_that_leaves_nothing_is_green_and_says_what_it_skipped_and_what_another_program_may_have_made(
    tmp_path: Path, elsewhere: Path
) -> None:
    code, printed = run_suite(tmp_path, CAREFUL + APART.format(folder=str(elsewhere)), "--numprocesses", "2")
    assert code == 0, printed
    assert f"file: {elsewhere}\n" in printed
    assert "left behind" not in printed
    command = "tests/environment torch && .venv/bin/python -m pytest test_some.py"
    assert f"  1 because the torch image is not installed: {command}\n" in printed


@pytest.mark.parametrize("options", [(), ("--numprocesses", "1")], ids=["one process", "a worker"])
def test_a_run_that_leaves_a_process_and_a_file_fails(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, printed = run_suite(tmp_path, CARELESS, *options)
    left = printed.partition("left behind by tests")[2].partition("\n=")[0].splitlines()
    processes = [line for line in left if line.startswith("process ")]
    for line in processes:
        psutil.Process(int(line.split()[1].strip(":"))).kill()
    assert code == 1, printed
    assert sorted(line.split(": ")[1] for line in processes) == ["/bin/sleep 611", "sleep 600"]
    files = [Path(line.removeprefix("file: ")) for line in left if line.startswith("file: ")]
    assert [path.name.split("-")[0] for path in files] == ["forgotten"]
    assert not files[0].exists(), "it is removed all the same"


def test_a_network_of_this_run_is_seen_and_those_of_clusters_and_other_runs_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "NETWORKS", (tmp_path,))
    monkeypatch.setenv(NUMBER_VARIABLE, "1")
    monkeypatch.delenv("FREEPOOL_TEST_CACHE", raising=False)
    for name in ("freepool-tests-1", "freepool-outside-2-abc", "freepool-outside-11-abc"):
        (tmp_path / name).touch()
    assert leftovers.networks() == set()
    ours = ("freepool-outside-1-abc", "veth0", "freepool-tests-x")
    for name in ours:
        (tmp_path / name).touch()
    (tmp_path / "freepool-tests-0a1b2c-3").touch()
    assert leftovers.networks() == {str(tmp_path / name) for name in ours}


def test_what_another_program_may_have_made_fails_a_run_that_is_alone(tmp_path: Path, elsewhere: Path) -> None:
    code, printed = run_suite(tmp_path, APART.format(folder=str(elsewhere)), FREEPOOL_TEST_ALONE="1")
    assert code == 1, printed
    assert f"file: {elsewhere}\n" in printed.partition("left behind by tests")[2]


def test_mounts_and_control_groups_of_clusters_and_other_runs_are_not_taken_for_this_run_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = [
        "mount: /run/netns/freepool-tests-2", "mount: /var/cache/freepool-tests/clusters/1/kubelet/pods/x",
        "mount: /tmp/fp-abc/x", "file: /tmp/fp-abc", "control group: /sys/fs/cgroup/memory/freepool-tests-2",
    ]  # fmt: skip
    maybe_ours = {"mount: /tmp/x", "control group: /sys/fs/cgroup/memory/x", "file: /dev/shm/x", "shared memory: 3"}
    monkeypatch.setattr(leftovers, "_of_machine", lambda: iter([*theirs, *maybe_ours]))
    assert leftovers.machine() == maybe_ours


def shell(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run some lines of shell after the cluster's scripts' common part."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f". {SCRIPTS}/parts/common.sh; {script}"],
        env={"PATH": os.environ["PATH"], "HOME": "/root", **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_command_for_our_own_cluster_never_runs_in_the_machine_s_network(tmp_path: Path) -> None:
    variables = {"FREEPOOL_TEST_CACHE": str(tmp_path), NUMBER_VARIABLE: "9"}
    done = shell("KIND=own; inside echo reached", **variables)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "cluster 9 does not run: it has no network namespace" in done.stderr
    assert shell("inside echo reached", FREEPOOL_TEST_KUBECONFIG="given", **variables).stdout == "reached\n"


def test_a_daemon_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "clusters" / "9" / "run").mkdir(parents=True)
    (tmp_path / "clusters" / "9" / "log").mkdir()
    lines = 'STARTED=(etcd); (echo "no space left"; exit 1) >$LOG/etcd.log & echo $! >$RUN/etcd.pid; wait || true'
    done = shell(f"{lines}; await 600 false", FREEPOOL_TEST_CACHE=str(tmp_path), FREEPOOL_TEST_CLUSTER="9")
    assert done.returncode == 1
    assert "etcd has ended" in done.stderr
    assert "no space left" in done.stderr


def test_no_hangup_is_sent_to_a_name_server_before_it_catches_it(tmp_path: Path) -> None:
    """A SIGHUP before dnsmasq handles it ended dnsmasq, and the cluster did not start: seen with a cold disk."""
    catches = "import signal, time; time.sleep(0.3); signal.signal(signal.SIGHUP, print); print('caught', flush=True)"
    found = shell(
        f". {SCRIPTS}/parts/names.sh; RUN={tmp_path}; STARTED=(); "
        f'"{sys.executable}" -c "{catches}; time.sleep(30)" & echo $! >"$RUN/dnsmasq.pid"; '
        "dnsmasq_catches_hangup && echo too early; await 20 dnsmasq_catches_hangup; echo ready; kill %1"
    )
    assert found.stdout.split() == ["caught", "ready"], found


def test_a_cluster_is_not_stopped_while_another_run_has_it(tmp_path: Path) -> None:
    variables = {"FREEPOOL_TEST_CACHE": str(tmp_path), NUMBER_VARIABLE: "9", "FREEPOOL_TEST_KUBECONFIG": "given"}
    (tmp_path / "clusters").mkdir()
    leased = f"{SCRIPTS}/lease {SCRIPTS}/down"
    assert shell(leased, **variables).returncode == 0
    with (tmp_path / "clusters" / "9.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "tests are running on cluster 9" in shell(f"{SCRIPTS}/down", **variables).stderr
        mistaken = variables | {"FREEPOOL_TEST_LEASE": str(os.getppid())}
        assert "tests are running on cluster 9" in shell(f"{SCRIPTS}/down", **mistaken).stderr
        ours = variables | {"FREEPOOL_TEST_LEASE": str(os.getpid())}
        assert shell(f"{SCRIPTS}/down", **ours).returncode == 0


@pytest.mark.parametrize(
    "cache", ["", str(usual_cache()), f"{usual_cache()}/", "/tmp/another-cache", "/tmp/another-cache/"]
)
def test_clusters_of_two_caches_have_networks_of_their_own(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are leased from a cache, names of network namespaces are the machine's."""
    monkeypatch.setenv(NUMBER_VARIABLE, "3")
    monkeypatch.setenv("FREEPOOL_TEST_CACHE", cache)
    is_usual = not cache.startswith("/tmp")
    script = f'. {SCRIPTS}/parts/common.sh; echo "$NETWORK_FILE"'
    by_shell = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.strip()
    assert by_shell == str(namespace_file())
    assert (namespace_file().name == "freepool-tests-3") == is_usual


def test_a_failure_shows_what_the_stack_said_during_the_test_and_keeps_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "s"
    (state / "logs").mkdir(parents=True)
    stack = SimpleNamespace(state=state, process=SimpleNamespace(poll=lambda: None))
    monkeypatch.setattr("tests.session.logs.STACKS", [stack])
    monkeypatch.setattr("tests.session.logs.KEPT", PROJECT / "build" / tmp_path.name)
    hub, desk = state / "logs" / "hub.log", state / "logs" / "desk.log"
    hub.write_text("before\nTraceback of another test\n")
    desk.write_text("before\n")
    item = SimpleNamespace(stash=pytest.Stash())
    logs.note_sizes(item)  # type: ignore[arg-type]
    with hub.open("a") as more:
        more.write("".join(f"line {number}\n" for number in range(40)) + "[E 2026-11-26 hub] no\n")
    report = SimpleNamespace(nodeid="tests/x/test_y.py::test_z[1/2]", sections=[])
    logs.add_logs(item, report)  # type: ignore[arg-type]
    ((title, text),) = report.sections
    kept = f"build/{tmp_path.name}/x-test_y.py-test_z-1-2/{tmp_path.name}-hub.log"
    assert title == f"read this first: the hub during this test, 1 error: {kept}"
    assert text.splitlines() == [*(f"line {number}" for number in range(26, 40)), "[E 2026-11-26 hub] no"]
    assert (PROJECT / kept).read_text() == hub.read_text()
    shutil.rmtree(PROJECT / "build" / tmp_path.name)


def test_what_is_on_the_cluster_is_one_scope_and_comes_first() -> None:
    slow = schedule.scope_of("tests/kubernetes/test_start_and_stop.py::test_it")
    assert slow == schedule.scope_of("tests/helm/test_install.py::test_it") == schedule.CLUSTER
    assert schedule.scope_of("tests/unit/test_cli.py::test_it[a::b]") == "tests/unit/test_cli.py"
    nodes = ["tests/unit/test_cli.py::test_it", "tests/kubernetes/test_start_and_stop.py::test_it"]
    assert sorted(nodes, key=schedule.longest_first) == nodes[::-1]


@pytest.mark.parametrize(("fixture", "name"), [("demo_stack", schedule.DEMO_CLOUD), ("login_stack", schedule.PROVIDER)])
def test_one_worker_has_the_only_stack_of_its_kind(fixture: str, name: str) -> None:
    """Files that ask for it by a fixture of their folder ask by that fixture's name."""
    asking = subprocess.run(
        ["git", "grep", "-lw", fixture, "--", "tests/**/test_*.py", ":!tests/session"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [path for path in asking.stdout.split() if schedule.scope_of(f"{path}::test_it") != name] == []


def test_every_file_that_the_schedule_knows_is_there() -> None:
    shared = {schedule.CLUSTER: ON_CLUSTER, **schedule.TOGETHER}
    paths = [path for name in schedule.SECONDS for path in shared.get(name, (name,))]
    assert [path for path in paths if not (PROJECT / path).exists()] == []
