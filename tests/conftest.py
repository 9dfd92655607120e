"""Fixtures that several suites share, and the rule that in CI nothing is skipped silently."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.cluster.network import Network, is_on_cluster, lease
from tests.stack import RUNNING, Stack, running_stack, write_catalog

ALLOWED_SKIPS: tuple[str, ...] = (
    "the torch image is not installed",  # 2.3 GB; `make heavy` brings it
    "the image cpu is not built",  # 3.1 GB, five minutes
    "the image gpu is not built",  # gigabytes of CUDA, and nothing here to run it on
    "the kubelet is not ours to hold up",  # it is on a cluster that is only borrowed, or shared just now
)


LONGEST_REASON = 3000
"""Characters, from the end, of why a test failed before it ran again: what passes by luck is still looked into."""


class TwoByTwo(LoadScopeScheduling):  # type: ignore[misc]
    """Two processes share the work (`make test`): the cluster's tests in one, everything else file by file.

    Most of the time is spent waiting for programs to start, so two side by side take little more than one alone.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        return "cluster" if is_on_cluster(path) else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TwoByTwo:
    """xdist asks for it."""
    return TwoByTwo(config, log)


NETWORK = pytest.StashKey[Network]()


def pytest_configure(config: pytest.Config) -> None:
    """Reserve a test cluster for this run, before its processes are started: they inherit the number."""
    lease()
    config.stash[NETWORK] = Network()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item):  # type: ignore[no-untyped-def]
    """A test on the cluster runs inside the cluster's network, with its fixtures; any other in the machine's own."""
    network = item.config.stash[NETWORK]
    if is_on_cluster(item.nodeid):
        network.enter()
    else:
        network.leave()
    return (yield)


@pytest.fixture(autouse=True)
def a_second_try_begins_with_nothing(request: pytest.FixtureRequest) -> None:
    """What a test that failed left in a Freepool which it shares is not what its second try fails by."""
    if getattr(request.node, "execution_count", 1) > 1:
        for stack in RUNNING:
            stack.settle()


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder with a short path (mode 0700), removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[Stack]:
    """One Freepool for all tests that leave nothing behind: they use users of their own, and stop what they start."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))

    def change(data: dict[str, object]) -> None:
        data["limits"]["local_memory"] = "12GiB"  # type: ignore[index]

    try:
        with running_stack(folder / "state", catalog=write_catalog(folder / "catalog.yaml", change)) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """In CI a skip is a failure unless its reason is on the list."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, which counts as a failure: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests of each part ran, and how long that took: what was not tested shows here, too."""
    seconds: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            part = "/".join(report.nodeid.split("/")[:2])
            seconds[part] += report.duration
            if report.when == "call" or outcome in ("skipped", "error"):
                outcomes[part][outcome] += 1
    if not outcomes:
        return
    reruns = [report for report in terminalreporter.stats.get("rerun", []) if isinstance(report, pytest.TestReport)]
    if reruns:
        terminalreporter.section("why some ran again")
    for report in reruns:
        terminalreporter.write_line(f"{report.nodeid}\n{report.longreprtext[-LONGEST_REASON:]}\n")
    terminalreporter.section("parts")
    for part in sorted(outcomes):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes[part].items()))
        terminalreporter.write_line(f"{part:<18} {seconds[part] / 60:5.1f} min  {counts}")
