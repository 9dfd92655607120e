"""Tries an environment: its lock, its packages' requirements, its imports.

Usage, with the environment's own Python: prove.py NAME IMPORTS LOCK [--bytecode]. IMPORTS has one module a line.
`--bytecode` then compiles the rest: instances see an environment read-only and could not keep what they compile.
Prints one line for each thing that is wrong, with what to do, and exits with 1.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SELDOM = frozenset({
    "tests", "test", "testing", "alembic", "debugpy", "fontTools", "networkx", "onnxruntime", "sqlalchemy", "sympy",
    "torch", "transformers", "triton",
})  # fmt: skip
"""Folders and packages of which a notebook loads little beyond what the imports have compiled: half of the time."""
SAY_SECONDS = 5
LIBRARY = re.compile(r"(lib[\w+-]+\.so[\w.]*): cannot open shared object file")
NVIDIA = re.compile(r"lib(cu|nv|nccl)")
IMPORT = """
import importlib, sys, warnings
warnings.simplefilter("ignore")
for name in sys.argv[1:]:
    print(name, flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(3)
"""


@dataclass(frozen=True)
class Distribution:
    """An installed distribution: its version, and what it requires (lines of its metadata)."""

    version: str
    requires: tuple[str, ...] = ()


def installed(folders: Sequence[str] = sys.path) -> dict[str, Distribution]:
    """What is installed in folders of packages, by canonical name."""
    return {
        canonicalize_name(one.metadata["Name"]): Distribution(one.version, tuple(one.requires or ()))
        for one in importlib.metadata.distributions(path=list(folders))
    }


def left_out() -> frozenset[str]:
    """Packages that the locks leave out on purpose, though a package requires them."""
    file = Path(__file__).resolve().parents[1] / "images" / "left-out.txt"
    return frozenset(line for line in file.read_text().split("\n") if line and not line.startswith("#"))


def pinned(lines: list[str]) -> list[Requirement]:
    """The requirements of a lock that hold for this Python and this machine."""
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [one for one in found if one.marker is None or one.marker.evaluate()]


def differences(lock: list[Requirement], found: Mapping[str, Distribution]) -> Iterator[str]:
    """What the lock pins and is not there in that version."""
    for one in lock:
        there = found.get(canonicalize_name(one.name))
        if there is None:
            yield f"{one.name} is in the lock and not installed."
        elif not one.specifier.contains(there.version, prereleases=True):
            yield f"{one.name} {there.version} is installed, and the lock says {one.specifier}."


def unmet(
    found: Mapping[str, Distribution],
    environment: Mapping[str, str] | None = None,
    *,
    ignored: Collection[str] | None = None,
) -> Iterator[str]:
    """Requirements of installed distributions, extras included, that are not installed or have another version.

    `environment` replaces markers. `ignored`: packages that need not be there; by default `left_out()`.
    """
    asked = [(name, "") for name in found]
    ignored = left_out() if ignored is None else ignored
    seen = set(asked)
    while asked:
        name, extra = asked.pop()
        for line in found[name].requires:
            requirement = Requirement(line)
            wanted = canonicalize_name(requirement.name)
            if requirement.marker and not requirement.marker.evaluate({**(environment or {}), "extra": extra}):
                continue
            if extra and requirement.marker and requirement.marker.evaluate({**(environment or {}), "extra": ""}):
                continue  # said without the extra
            if wanted in ignored:
                continue
            if wanted not in found:
                yield f"{name} requires {requirement}, which is not there."
                continue
            if not requirement.specifier.contains(found[wanted].version, prereleases=True):
                yield f"{name} requires {requirement}, and {found[wanted].version} is there."
            for more in requirement.extras:
                if (wanted, more) not in seen:
                    seen.add((wanted, more))
                    asked.append((wanted, more))


def what_to_do(error: str) -> str:
    """The next step after an import that failed with `error`."""
    library = LIBRARY.search(error)
    if library and NVIDIA.match(library[1]):
        return (
            f"{library[1]} is missing: a library of NVIDIA's that this build of PyTorch needs. The lock has them as "
            "packages; an index that serves another build of PyTorch than the lock names does not fit it. Check pip's "
            "index; for the smaller build without them set TORCH_INDEX."
        )
    if library:
        return f"{library[1]} is missing: a library of the system. Install the system's package that has it."
    return f"{error}. Check pip's index; if the lock lacks something, make it again with images/lock."


def cannot_import(names: list[str], *, label: str = "") -> str | None:
    """Import modules one after the other in a process of its own: which one fails, and what to do."""
    last, began = "Python", time.monotonic()
    said = began
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-u", "-c", IMPORT, *names], text=True, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() not in names:
                continue  # what a package prints while it is imported
            last = line.strip()
            if label and time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                count = f"{names.index(last)} of {len(names)}"
                say(f"{label}: {count} modules imported, now {last} ({said - began:.0f} s)")
        code = process.wait()
        errors.seek(0)
        printed = errors.read().strip().splitlines()
    if code == 0:
        return None
    if code < 0:
        ended = signal.Signals(-code).name
        reason = f"the process was ended by {ended}: a package that is not made for this machine"
    else:
        reason = (printed or ["no reason given"])[-1]
    return f"{last} cannot be imported: {what_to_do(reason)}"


def _compile(paths: list[str]) -> int:
    warnings.simplefilter("ignore")
    for path in paths:
        compileall.compile_file(path, quiet=2)
    return len(paths)


def compile_bytecode(name: str) -> None:
    """Compile what the trial's imports have not compiled, but for what is seldom loaded."""
    began = said = time.monotonic()
    roots = [Path(path) for path in sys.path if path.endswith("site-packages") and path.startswith(sys.prefix)]
    files = [
        str(path) for root in roots for path in root.rglob("*.py") if SELDOM.isdisjoint(path.relative_to(root).parts)
    ]
    batches = [files[at : at + 50] for at in range(0, len(files), 50)]
    done = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for count in pool.map(_compile, batches):
            done += count
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                say(f"{name}: {done} of {len(files)} modules compiled ({said - began:.0f} s)")
    say(f"{name}: {len(files)} modules compiled: {time.monotonic() - began:.0f} s")


def say(line: str) -> None:
    sys.stdout.write(f"freepool: {line}\n")
    sys.stdout.flush()


def main() -> int:
    name, imports, lock = sys.argv[1:4]
    began = time.monotonic()
    found = installed()
    wrong = [*differences(pinned(Path(lock).read_text().splitlines()), found), *unmet(found)]
    modules = [line for line in Path(imports).read_text().split("\n") if line and not line.startswith("#")]
    if failed := cannot_import(modules, label=name):
        wrong.append(failed)
    for line in wrong:
        sys.stderr.write(f"freepool: {name}: {line}\n")
    if wrong:
        return 1
    took = time.monotonic() - began
    say(f"{name}: {len(found)} packages fit together, {len(modules)} modules can be imported: {took:.0f} s")
    if "--bytecode" in sys.argv:
        compile_bytecode(name)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C in make ends all of its programs: no traceback
    sys.exit(main())
