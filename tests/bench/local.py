"""`make bench`: ours beside JupyterHub's own SimpleLocalProcessSpawner, on this machine, in one interleaved run."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from tests.bench.drive import ALL_PARTS, Driver, Failed
from tests.bench.sides import Side, freepool, simple_local
from tests.bench.table import Measure, part_rows, render, rows, verdicts
from tests.stack import PROJECT

IMAGES = PROJECT / ".images"
REST_SECONDS = 0.5
"""Both sides rest this long after the last slot is warm, so that neither is measured in the other's wake."""
OURS, STOCK, LEAN = "ours", "stock", "lean stock"

START = Measure("POST to ready", "s", target_p50=12, target_p95=8)
PAGE = Measure("POST to first JupyterLab page", "s")
RESTART = Measure("stop + start (wiped)", "s", target_p50=10)
WAITING = Measure("memory per waiting slot", "MiB")
RUNNING = Measure("memory per running server", "MiB")
MEASURES = (START, PAGE, RESTART, WAITING, RUNNING)

Found = dict[tuple[str, str], list[float]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("-n", type=int, default=15, help="starts per side (%(default)s)")
    parser.add_argument(
        "--lean-stock",
        action="store_true",
        help="a third side: the stock spawner with our image's packages, which tells the environment from the slot",
    )
    options = parser.parse_args(arguments)
    interruptible()
    try:
        with tempfile.TemporaryDirectory(prefix="freepool-bench-", ignore_cleanup_errors=True) as folder:
            _bench(max(1, options.n), options.lean_stock, Path(folder))
    except KeyboardInterrupt:
        sys.exit("bench: stopped; its processes are ended")


def interruptible() -> None:
    """Make every polite signal end the run in an orderly way."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    """Once: a second Ctrl-C must not interrupt the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _bench(n: int, lean: bool, folder: Path) -> None:
    found: Found = {}
    failures: dict[str, list[str]] = {}
    with ExitStack() as stack:
        sides = [
            stack.enter_context(freepool(folder)),
            stack.enter_context(simple_local(STOCK, IMAGES / "stock", folder)),
            *([stack.enter_context(simple_local(LEAN, IMAGES / "light", folder))] if lean else []),
        ]
        print(header(n, sides), flush=True)
        drivers = [Driver(side) for side in sides]
        for number in range(n + 1):
            for driver in drivers:
                name = driver.side.name
                _settle(sides)
                try:
                    values = _round(driver, sides)
                except Failed as error:
                    failures.setdefault(name, []).append(str(error))
                    driver.clear()
                    continue
                if number == 0:
                    continue  # the warm-up
                for title, value in values.items():
                    found.setdefault((title, name), []).append(value)
            if sys.stderr.isatty():
                print(f"\r{number}/{n}", end="\r", file=sys.stderr, flush=True)
    names = [side.name for side in sides]
    print(render(rows(MEASURES, OURS, STOCK, names, found)))
    print()
    print("\n".join(verdicts(MEASURES, OURS, STOCK, found)))
    print("\n" + render(part_rows(ALL_PARTS, [OURS], found)) + "\n")
    for name in names:
        failed = failures.get(name, [])
        print(f"{name}: {len(failed)} of {n + 1} rounds failed" + "".join(f"\n  {line}" for line in failed))


def _settle(sides: Sequence[Side]) -> None:
    """Wait until nothing is being prepared on any side: the same for whoever is next."""
    for side in sides:
        side.settle()
    time.sleep(REST_SECONDS)


def _round(driver: Driver, sides: Sequence[Side]) -> dict[str, float]:
    """One start, its page, and a stop with a start after it."""
    side = driver.side
    values: dict[str, float] = {}
    _note(values, WAITING, side.waiting_memory())
    began = time.perf_counter()
    values[START.title] = driver.start()
    values |= driver.parts(values[START.title])
    driver.page()
    values[PAGE.title] = time.perf_counter() - began
    _settle(sides)
    _note(values, RUNNING, side.running_memory())
    began = time.perf_counter()
    driver.stop()
    driver.start()
    values[RESTART.title] = time.perf_counter() - began
    driver.page()
    driver.stop()
    return values


def _note(values: dict[str, float], measure: Measure, value: float | None) -> None:
    if value is not None:
        values[measure.title] = value


def header(n: int, sides: Sequence[Side]) -> str:
    """What is measured, on what, with what."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        f"n = {n} per side after one warm-up, interleaved; {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"load {os.getloadavg()[0]:.1f}, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}.",
        f"Hubs: JupyterHub {version('jupyterhub')} over HTTP, each with its own configurable-http-proxy and SQLite.",
        f"ours: freepool {version('freepool')} as `make run` starts it, image light ({_labs(IMAGES / 'light')}).",
        f"stock: SimpleLocalProcessSpawner, JupyterHub's defaults ({_labs(IMAGES / 'stock')}).",
    ]
    if any(side.name == LEAN for side in sides):
        lines.append(
            f"lean stock: the same spawner and defaults with our image's packages ({_labs(IMAGES / 'light')})."
        )
    lines.append(
        "Ready: the hub's API says so. Page: /user/U/lab has come with 200. Memory: proportional set size of all its "
        "processes.\nBefore every start all sides rest until no waiting slot is being made."
    )
    return "\n".join(lines) + "\n"


def _labs(environment: Path) -> str:
    names = ("jupyterlab", "jupyter_server", "jupyterhub")
    code = f"from importlib.metadata import version\nprint(*(n + ' ' + version(n) for n in {names!r}), sep=', ')"
    done = subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {environment} is not installed. Run it as `make bench`.")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
