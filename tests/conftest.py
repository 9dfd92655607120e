"""What the whole suite shares: its stack, and hooks that the modules in `tests.session` describe."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.channels.servers import MailBox, channels_by, mail_server
from tests.cloud.steer import QUICK, Steer, steer_beside
from tests.cluster.network import Network, is_on_cluster, lease
from tests.lean import lean_settings
from tests.links.repositories import git_over_tls
from tests.save.git_server import GitServer
from tests.session import leftovers, logs, schedule, summary
from tests.stack import PROJECT, Stack, local_settings, running_stack, stack_with_demo_cloud, write_catalog

RUN, BEFORE, LEFT = pytest.StashKey[Path](), pytest.StashKey[set[str]](), pytest.StashKey[list[str]]()
NETWORK = pytest.StashKey[Network]()
MARK, MACHINE, APPEARED = pytest.StashKey[int | None](), pytest.StashKey[set[str]](), pytest.StashKey[list[str]]()


@pytest.fixture(scope="module", autouse=True)
def left_open() -> Iterator[None]:
    """What a file leaves open is found at its end and counts as its fault; later it would be another file's."""
    yield
    gc.collect()


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder with a short path (mode 0700), removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mail_box() -> Iterator[MailBox]:
    """The mail server of the shared stack."""
    with mail_server() as box:
        yield box


@pytest.fixture(scope="session")
def git_server() -> Iterator[tuple[GitServer, Path]]:
    """A Git server that open links may name in `shared_stack`, and the file with its certificate."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-git-"))
    try:
        with git_over_tls(folder) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_stack(mail_box: MailBox, git_server: tuple[GitServer, Path]) -> Iterator[Stack]:
    """One Freepool for all tests that leave nothing behind: they use users of their own, and stop what they start.

    `cpu-large` uses hours of the class `cpu`, of which each user has plenty.
    """
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))

    def change(data: dict[str, Any]) -> None:
        data["limits"]["local_memory"] = "12GiB"
        large = next(flavor for flavor in data["flavors"] if flavor["id"] == "cpu-large")
        large["allowance"] = {"class": "cpu"}
        data["allowances"]["classes"].append({"id": "cpu", "title": {"en": "CPU", "zh": "CPU"}, "hours": 100})
        data["keep"] = {"enabled": True, "limit": "1MiB"}

    try:
        place = git_server[0].url.removeprefix("https://")
        links = {"also_allow": [place], "certificates": str(git_server[1])}
        settings = local_settings(folder / "settings.yaml", channels=channels_by(mail_box), links=links)
        catalog = write_catalog(folder / "catalog.yaml", change)
        with running_stack(folder / "state", catalog=catalog, settings=settings) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def demo_stack() -> Iterator[Stack]:
    """One Freepool with the stand-in cloud beside it, for all tests of the paid path: each has people of its own."""
    with stack_with_demo_cloud() as stack:
        yield stack


@pytest.fixture(scope="session")
def lean() -> Iterator[Path]:
    """A settings file with the lean image, for catalogs that `with_lean` has changed."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-lean-"))
    yield lean_settings(folder)
    shutil.rmtree(folder)


@pytest.fixture
def cloud_beside(demo_stack: Stack) -> Iterator[Steer]:
    """The stand-in of the stack for the paid path, quick, and with no fault that another test had it make."""
    steer = steer_beside(demo_stack.state)
    yield steer
    steer.clear_faults()
    steer.quirk(pace=QUICK)


# --- a run has a folder of its own, in which nothing is left --------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """In each worker, and in the process that hands the work out to them."""
    lease()  # of a test cluster; the workers inherit its number
    config.stash[NETWORK] = Network()
    told: dict[str, str] = getattr(config, "workerinput", {})
    if told:
        config.stash[RUN] = Path(told["freepool_run"], told["workerid"])
    else:
        config.stash[RUN] = leftovers.make_run_folder()
        config.add_cleanup(lambda: shutil.rmtree(config.stash[RUN], ignore_errors=True))
        config.stash[BEFORE] = leftovers.networks()
        config.stash[MACHINE] = leftovers.machine()
        if config.rootpath == PROJECT:  # not for a small run that a test starts elsewhere
            shutil.rmtree(logs.KEPT, ignore_errors=True)
        config.option.loadscopereorder = False  # xdist's own order is by the number of tests
    config.stash[LEFT], config.stash[APPEARED] = [], []
    config.stash[MARK] = leftovers.mark()
    leftovers.use(config.stash[RUN])


def pytest_configure_node(node: Any) -> None:
    """xdist is about to start a worker."""
    node.workerinput["freepool_run"] = str(node.config.stash[RUN])


def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker has ended, and says what its tests have left."""
    node.config.stash[LEFT] += getattr(node, "workeroutput", {}).get("freepool_left", [])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the last fixture. What is left fails the run."""
    config = session.config
    run, left = config.stash[RUN], config.stash[LEFT]
    if hasattr(config, "workeroutput"):
        config.workeroutput["freepool_left"] = leftovers.left_in(run, config.stash[MARK])
        return
    left += [f"network: {name}" for name in sorted(leftovers.networks() - config.stash[BEFORE])]
    workers = [f"file: {path}" for path in run.glob("gw*")]
    left += [one for one in leftovers.left_in(run, config.stash[MARK]) if one not in (*workers, *left)]
    config.stash[APPEARED] = [one for one in leftovers.appeared_since(config.stash[MACHINE]) if one not in left]
    if os.environ.get("FREEPOOL_TEST_ALONE"):
        left += config.stash[APPEARED]
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item):  # type: ignore[no-untyped-def]
    """A test on the cluster runs inside the cluster's network, with its fixtures; any other in the machine's own.

    A command that a test runs in this process sets up the root logger: it is put back.
    """
    network = item.config.stash[NETWORK]
    if is_on_cluster(item.nodeid):
        network.enter()
    else:
        network.leave()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        return (yield)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


# --- order, failures, the last lines ----------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session):  # type: ignore[no-untyped-def]
    """The garbage collector need not look at modules and tests, neither while they are read nor later.

    It looks at the rest seldom: a seventh of a worker's processor time was the collector's.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        gc.enable()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> schedule.WholeFiles:
    """xdist asks for it."""
    return schedule.WholeFiles(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Of the quick tests each belongs to `make check`; of others those that are marked."""
    if schedule.is_quick(item):
        item.add_marker(pytest.mark.check)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with what takes longest; one process alone keeps the order in which it was asked."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: schedule.longest_first(item.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test begins. On the cluster it fails unless it is in the cluster's network."""
    failure = item.config.stash[NETWORK].failure
    if failure and is_on_cluster(item.nodeid):
        pytest.fail(failure, pytrace=False)
    logs.note_sizes(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """A failure shows what the stacks said. In CI a skip is a failure unless its reason is on the list."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = summary.reason_of(report)
        if not summary.is_allowed(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, which counts as a failure: {reason}"
    elif report.failed:
        logs.add_logs(item, report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Parts, what was left, and what was skipped."""
    summary.write_parts(terminalreporter)
    summary.write_slowest(terminalreporter)
    summary.write_left(terminalreporter, config.stash[LEFT])
    if not os.environ.get("FREEPOOL_TEST_ALONE"):
        summary.write_appeared(terminalreporter, config.stash[APPEARED])
    summary.write_skipped(terminalreporter)
