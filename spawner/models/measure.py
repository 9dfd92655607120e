"""Runs an example's notebook in its image and says how long it takes and how much memory it has at most.

The notebook runs as in an instance: on the kernel that it names, in a copy of its folder, with a home and caches of its
own. Memory is that of all processes together, each with its share of what they share.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spawner.catalog import Example
from spawner.errors import SetupError
from spawner.instance.features import thread_variables, variables
from spawner.instance.gauges import proportional
from spawner.instance.model_links import link_models

LOOK_SECONDS = 0.1
LONGEST_SECONDS = 3600
MIB = 1024**2
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=3600).execute()
"""


@dataclass(frozen=True)
class Measured:
    """Seconds from the kernel's start to its end, bytes of memory at most, bytes of files that were made.

    `processor`: seconds of all processors; on a busy machine less than `seconds`.
    """

    seconds: float
    memory: int
    disk: int
    processor: float

    def needs(self) -> str:
        """As the catalog writes it, with a tenth more memory and disk, rounded up."""
        memory = -(-self.memory * 11 // 10 // (100 * MIB)) * 100
        disk = f", disk: {-(-self.disk * 11 // 10 // (10 * MIB)) * 10}MiB" if self.disk > MIB else ""
        return f"{{memory: {memory}MiB, seconds: {max(1, round(self.seconds + 0.5))}{disk}}}"


def differences(measured: Measured, example: Example) -> list[str]:
    """What the example needs more of than the catalog says: users would choose a machine type that is too small."""
    found = []
    if measured.memory > int(example.needs.memory):
        found.append(f"memory: {measured.memory // MIB} MiB, and the catalog says {int(example.needs.memory) // MIB}")
    if measured.disk > int(example.needs.disk or 0) + MIB:
        found.append(f"disk: {measured.disk // MIB} MiB, and the catalog says {int(example.needs.disk or 0) // MIB}")
    if (seconds := min(measured.seconds, measured.processor)) > example.needs.seconds:  # a busy machine takes longer
        found.append(f"seconds: {seconds:.0f}, and the catalog says {example.needs.seconds}")
    return found


def measure(
    example: Example,
    *,
    python: Path,
    examples: Path,
    models: Path | None,
    environment: Mapping[str, str],
    clock: Callable[[], float] = time.monotonic,
) -> Measured:
    """Run it. Raises `SetupError` with the notebook's own error where a cell fails."""
    with tempfile.TemporaryDirectory(prefix="freepool-measure-") as folder:
        root = Path(folder)
        source = examples / Path(example.path).parts[0]
        shutil.copytree(source, root / Path(example.path).parts[0])
        own = {**variables(folder), "HOME": folder, "PATH": f"{python.parent}:{os.defpath}", **environment}
        own |= thread_variables(2)
        if models is not None:
            link_models(models, own)
        before, processor, log = _bytes_of(root), _processor_seconds(), root / "log"
        notebook = root / example.path
        began = clock()
        with log.open("wb") as output:
            running = subprocess.Popen(
                [python, "-c", RUN, notebook], cwd=notebook.parent, env=own, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            peak = _watch(running, clock, began)
        seconds = clock() - began
        if running.returncode:
            said = COLOURS.sub("", log.read_text(errors="replace")).strip().splitlines()
            raise SetupError(
                "{example} does not run to its end: {why}", example=example.id, why=(said or ["no reason given"])[-1]
            )
        made = max(0, _bytes_of(root) - before - log.stat().st_size)
        return Measured(seconds, peak, made, _processor_seconds() - processor)


def _watch(running: subprocess.Popen[bytes], clock: Callable[[], float], began: float) -> int:
    """Look until it has ended; processes leave no sum of their memory behind."""
    peak = 0
    try:
        while True:
            peak = max(peak, sum(map(proportional, descendants(running.pid))))
            try:
                running.wait(LOOK_SECONDS)
                return peak
            except subprocess.TimeoutExpired:
                if clock() - began > LONGEST_SECONDS:
                    raise SetupError("It has run for an hour, and was ended.") from None
    finally:
        for process in [*descendants(running.pid)]:
            if running.poll() is None:
                os.kill(process, 9)
        running.wait()


def descendants(process: int) -> Iterator[int]:
    """A process and all below it. They may end meanwhile."""
    yield process
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from descendants(int(child))
    except OSError:
        return


def _processor_seconds() -> float:
    """Of programs that this one has started, and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _bytes_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
