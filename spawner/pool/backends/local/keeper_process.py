"""Starts and ends the process of a slot's keeper."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from spawner.pool.backends.base import Phase
from spawner.pool.backends.local import sandbox
from spawner.pool.backends.local.keeper import write_status
from spawner.pool.backends.local.slot_folder import is_locked

DESTROY_SECONDS = 15


def start_keeper(folder: Path, lock: int, orders: dict[str, Any]) -> None:
    """Start the keeper of a slot's folder and send it its orders. Raises `OSError`, and then removes the folder."""
    keeper: subprocess.Popen[bytes] | None = None
    try:
        keeper = _popen_keeper(folder, lock)
        # Before the keeper has its orders: `destroy` finds it by this file.
        creating = {"id": orders["id"], "pid": keeper.pid, "run_as": orders["run_as"], "phase": Phase.CREATING.value}
        write_status(folder, creating)
        assert keeper.stdin is not None
        keeper.stdin.write(json.dumps(orders).encode())
        keeper.stdin.close()
        _reap_when_done(keeper)
    except OSError:
        if keeper is not None:
            keeper.kill()
            keeper.communicate()
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _popen_keeper(folder: Path, lock: int) -> subprocess.Popen[bytes]:
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-S", "-m", "spawner.pool.backends.local.keeper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd="/",
            env={"PYTHONPATH": str(sandbox.package_folder().parent), "PATH": os.environ.get("PATH", os.defpath)},
            pass_fds=(lock,),
            start_new_session=True,
        )
    finally:
        os.close(log)


def end_keeper(folder: Path, keeper: int) -> None:
    """Ask the process of the keeper to end, and kill it where it does not."""
    try:
        handle = os.pidfd_open(keeper)
    except OSError:
        return
    try:
        if not is_locked(folder):  # it died before pidfd_open: the number may be another process's
            return
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        with contextlib.suppress(ProcessLookupError):
            if not _wait(handle, DESTROY_SECONDS):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                _wait(handle, DESTROY_SECONDS)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _wait(handle: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _reap_when_done(keeper: subprocess.Popen[bytes]) -> None:
    """Wait for the keeper in a thread, so that it does not stay a zombie. It may outlive this process."""
    threading.Thread(target=keeper.wait, daemon=True, name=f"keeper-{keeper.pid}").start()
