"""The last lines of a run: how long each part took, what was left behind, and what was not tested."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.session.schedule import scope_of

COMMANDS = {
    "the torch image is not installed": "tests/environment torch",
    "the image cpu is not built": "make images IMAGES=cpu",
    "the image gpu is not built": "make images IMAGES=gpu",
    "it takes long": "export FREEPOOL_EXAMPLES=all",
}
"""Beginnings of reasons for which a test is skipped, and what to run first so that it is not."""
SLOWEST = 30
SHOWN = 40
"""Lines of what other programs may have made."""
ALLOWED_SKIPS = (
    "the image cpu is not built",  # 3 to 7 GB, and ten minutes; its packages are tried as the local image torch
    "the image gpu is not built",  # gigabytes of CUDA, and no device to run it on
    "it takes long",  # examples that load a model, for which another one stands: docs/develop.md
)
"""Those that CI accepts."""


def is_allowed(reason: str) -> bool:
    """Whether CI accepts a skip for this reason."""
    return any(allowed in reason for allowed in ALLOWED_SKIPS)


def reason_of(report: pytest.TestReport) -> str:
    """Why a test was skipped."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def write_parts(reporter: pytest.TerminalReporter) -> None:
    """How many tests of each part ran, and how long that took: what was not tested shows here, too."""
    seconds: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome, reports in reporter.stats.items():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                part = "/".join(report.nodeid.split("/")[:2])
                seconds[part] += report.duration
                if report.when == "call" or outcome in ("skipped", "error"):
                    outcomes[part][outcome] += 1
    if outcomes:
        reporter.section("parts")
    for part in sorted(outcomes):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes[part].items()))
        reporter.write_line(f"{part:<18} {seconds[part] / 60:5.1f} min  {counts}")


def write_slowest(reporter: pytest.TerminalReporter) -> None:
    """What takes longest of what one worker runs in one piece: `schedule.SECONDS` is written by it."""
    seconds: Counter[str] = Counter()
    for reports in reporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[scope_of(report.nodeid)] += report.duration
    if len(seconds) > SLOWEST:
        reporter.section(f"slowest {SLOWEST} files")
        for scope, spent in seconds.most_common(SLOWEST):
            reporter.write_line(f"{spent:5.0f} s  {scope}")


def write_left(reporter: pytest.TerminalReporter, left: list[str]) -> None:
    """What the run has left behind: it has failed by that."""
    if left:
        reporter.section("left behind by tests", red=True)
        for one in left:
            reporter.write_line(one)


def write_appeared(reporter: pytest.TerminalReporter, appeared: list[str]) -> None:
    """What is new on this machine: this run or another program made it."""
    if appeared:
        reporter.section("new on this machine since the run began, made by it or by other programs")
        for one in appeared[:SHOWN]:
            reporter.write_line(one)
        if len(appeared) > SHOWN:
            reporter.write_line(f"and {len(appeared) - SHOWN} more")


def write_skipped(reporter: pytest.TerminalReporter) -> None:
    """Each reason with how many tests it kept from running, and the command that runs them."""
    files: dict[str, list[str]] = defaultdict(list)
    for report in reporter.stats.get("skipped", []):
        if isinstance(report, pytest.TestReport):
            files[reason_of(report)].append(report.nodeid.split("::")[0])
    if files:
        reporter.section(f"skipped: {sum(map(len, files.values()))}")
    for reason, where in sorted(files.items()):
        before = next((command for known, command in COMMANDS.items() if known in reason), "")
        tests = " ".join(sorted({str(Path(one)) for one in where}))
        command = " && ".join(part for part in (before, f".venv/bin/python -m pytest {tests}") if part)
        reporter.write_line(f"{len(where):>3} because {reason}: {command}")
