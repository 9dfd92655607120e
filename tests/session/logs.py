"""What a failed test shows of the stacks that it used: which process' log to read first, and its last lines."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stack import PROJECT, STACKS, Stack

KEPT = PROJECT / "build" / "failed"
"""Where the logs of failed tests stay; emptied when a run begins."""
LINES = 15
LARGEST = 200_000
"""Bytes of a log that are looked at, from its end."""
TROUBLE = re.compile(r"Traceback|ERROR|CRITICAL|^\[[EC] |^\w*(Error|Exception)\b", re.MULTILINE)
SIZES = pytest.StashKey[dict[Path, int]]()


@dataclass(frozen=True)
class Said:
    """What one process printed during a test, and where all of it can be read."""

    process: str
    text: str
    kept: Path

    @property
    def troubles(self) -> int:
        """How often it speaks of an error."""
        return len(TROUBLE.findall(self.text))

    @property
    def title(self) -> str:
        """The heading of its last lines."""
        count = f"{self.troubles} error{'s' * (self.troubles != 1)}" if self.troubles else "no error"
        return f"the {self.process} during this test, {count}: {self.kept}"

    @property
    def last_lines(self) -> str:
        """Its end."""
        return "\n".join(self.text.splitlines()[-LINES:])


def note_sizes(item: pytest.Item) -> None:
    """Remember how long the logs were before a test began: what comes after belongs to it."""
    STACKS[:] = [stack for stack in STACKS if stack.process.poll() is None]
    item.stash[SIZES] = {log: log.stat().st_size for stack in STACKS for log in logs_of(stack)}


def add_logs(item: pytest.Item, report: pytest.TestReport) -> None:
    """Show what the stacks of this worker said during a test that failed, the most troubled process first."""
    sizes = item.stash.get(SIZES, {})
    stacks = {stack.state: stack for stack in STACKS}.values()  # two may have used one state, one after the other
    said = [one for stack in stacks for one in keep(stack, sizes, folder_of(report.nodeid))]
    for number, one in enumerate(sorted(said, key=lambda one: -one.troubles)):
        first = "read this first: " if number == 0 and one.troubles else ""
        report.sections.append((first + one.title, one.last_lines))


def keep(stack: Stack, sizes: dict[Path, int], folder: Path) -> list[Said]:
    """Copy a stack's logs to where they outlive it. What its processes printed since the logs had these sizes."""
    said = []
    for log in logs_of(stack):
        kept = folder / f"{stack.state.parent.name}-{log.name}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, kept)
        with kept.open("rb") as copy:
            begin = sizes.get(log, 0)
            copy.seek(max(begin, kept.stat().st_size - LARGEST))
            text = copy.read().decode(errors="replace").strip()
        if text:
            said.append(Said(log.stem, text, kept.relative_to(PROJECT)))
    return said


def logs_of(stack: Stack) -> list[Path]:
    """The log of each of its processes."""
    return sorted((stack.state / "logs").glob("*.log"))


def folder_of(nodeid: str) -> Path:
    """Where the logs of one test stay."""
    return KEPT / re.sub(r"[^\w.-]+", "-", nodeid.removeprefix("tests/"))[:120].strip("-")
