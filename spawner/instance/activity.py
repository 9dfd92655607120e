"""Says how this instance is used: kernels, terminals, open tabs, real input. Only the platform may ask.

The route is not below the server's own address, so the proxy leads no browser to it, and it wants the key that the
slot's agent was made with. It counts as no activity itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from tornado.web import RequestHandler

from spawner.instance.apps.ports import serving
from spawner.instance.report_key import SETTING, is_platform

INPUT = "freepool_input_at"
"""The server's setting with the time of the last real input in a visible tab, in seconds since 1970."""
OPENED = "api_last_activity"
"""Jupyter Server sets it at each request of a signed-in user to its API, such as a page's first ones. Its own report to
JupyterHub at the start sets nothing."""
MOST = 100
"""Kernels and terminals that are named; the busy ones first."""
BUSY_SINCE = "_freepool_busy_since"
PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")


class ActivityHandler(RequestHandler):
    """GET with the report key; 404 for everybody else."""

    def get(self) -> None:
        """Answer."""
        app = self.settings["serverapp"]
        if not is_platform(self.request.headers, self.settings.get(SETTING)):
            self.send_error(404)
            return
        self.finish(activity(app, self.settings, time.time()))


def activity(app: Any, settings: dict[str, Any], now: float) -> dict[str, Any]:
    """What is reported. `since` and `input_at` are seconds since 1970 by this machine's clock, which is `now`.

    `opened`: whether anybody has used this server since its start.
    """
    kernels = [_kernel(kernel_id, kernel) for kernel_id, kernel in _kernels(app)]
    apps = _serving(settings)
    terminals = [_terminal(name, terminal, apps) for name, terminal in _terminals(settings)]
    return {
        "now": now,
        "kernels": sorted(kernels, key=lambda one: not one["busy"])[:MOST],
        "terminals": sorted(terminals, key=lambda one: -one["children"])[:MOST],
        "tabs": _tabs(app, settings),
        "input_at": settings.get(INPUT),
        "opened": OPENED in settings or settings.get(INPUT) is not None,
        "processor_seconds": _processor_seconds(),
        "network": _network_bytes(),
    }


def _kernels(app: Any) -> Iterable[tuple[str, Any]]:
    manager = app.kernel_manager
    for kernel_id in list(manager.list_kernel_ids()):
        with contextlib.suppress(Exception):  # it may be gone by now
            yield kernel_id, manager.get_kernel(kernel_id)


def _kernel(kernel_id: str, kernel: Any) -> dict[str, Any]:
    return {
        "id": kernel_id,
        "busy": getattr(kernel, "execution_state", "") == "busy",
        "since": _busy_since(kernel),
    }


def _busy_since(kernel: Any) -> float | None:
    """When the kernel became busy. From the first question on its state is followed; before that, its last message."""
    if not hasattr(kernel, BUSY_SINCE):
        last = getattr(kernel, "last_activity", None)
        setattr(kernel, BUSY_SINCE, time.time() if last is None else last.timestamp())
        with contextlib.suppress(AttributeError):  # a kernel manager without traits
            kernel.observe(lambda _: setattr(kernel, BUSY_SINCE, time.time()), "execution_state")
    since: float | None = getattr(kernel, BUSY_SINCE, None)
    return since


def _terminals(settings: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    manager = settings.get("terminal_manager")
    return list(getattr(manager, "terminals", {}).items())


def _serving(settings: dict[str, Any]) -> set[str]:
    """Process ids of apps that were opened in a browser."""
    apps = settings.get("freepool_apps")  # `apps.state`
    return serving(apps.opened) if apps is not None and apps.opened and _terminals(settings) else set()


def _terminal(name: str, terminal: Any, apps: Collection[str] = ()) -> dict[str, Any]:
    """`children`: programs that its shell has started and waits for, or that run beside it.

    Processes of apps are left out: an unused app takes processor time, too. Its use counts as input.
    """
    pid = getattr(getattr(terminal, "ptyproc", None), "pid", None)
    children = [] if pid is None else [one for one in _children(int(pid)) if one not in apps]
    return {"name": name, "children": len(children)}


def _children(process: int) -> list[str]:
    with contextlib.suppress(OSError):
        threads = (PROC / str(process) / "task").iterdir()
        return [one for thread in threads for one in (thread / "children").read_text().split()]
    return []


def _tabs(app: Any, settings: dict[str, Any]) -> int:
    """Open websockets of browsers: each JupyterLab subscribes to events, each open notebook or terminal has its own."""
    logger = getattr(app, "event_logger", None)
    listeners = getattr(logger, "_modified_listeners", {}).values()
    sockets = {id(one.__self__) for part in listeners for one in part if hasattr(one, "__self__")}
    connections = getattr(app.kernel_manager, "_kernel_connections", {}).values()
    apps = settings.get("freepool_apps")  # `apps.state`: who looks at an app has a page open, too
    clients = sum(len(getattr(terminal, "clients", ())) for _, terminal in _terminals(settings))
    return len(sockets) + sum(connections) + clients + (apps.open_pages if apps is not None else 0)


def _processor_seconds() -> float | None:
    """Of the whole instance, where its control group can be seen from inside, as in a pod."""
    with contextlib.suppress(OSError, ValueError):
        for line in (CGROUP / "cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
    with contextlib.suppress(OSError, ValueError):
        return int((CGROUP / "cpuacct" / "cpuacct.usage").read_text()) / 1e9
    return None


def _network_bytes() -> int | None:
    """In and out of this instance's network, without loopback."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        total = 0
        for line in (PROC / "self" / "net" / "dev").read_text().splitlines()[2:]:
            name, _, numbers = line.partition(":")
            if name.strip() != "lo":
                total += int(numbers.split()[0]) + int(numbers.split()[8])
        return total
    return None
