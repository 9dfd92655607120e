"""Child programs of the supervisor: started, restarted when they die, ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from spawner.local.fork_server import ForkServer
from spawner.local.logs import open_log

log = logging.getLogger("freepool.up")
STABLE_SECONDS = 5
SHOW_LOG_AFTER = 3
"""How many quick ends in a row make the supervisor print the end of the program's log."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0
END_SECONDS = 8


def _dying_with_parent(command: Sequence[str]) -> list[str]:
    """Wrap the command so that the kernel kills it when the supervisor dies: nothing else would end it.

    Not by a `preexec_fn`: that runs Python between fork and exec, and has been seen to hang where there are threads.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else list(command)


class Running(Protocol):
    """A process, executed or forked."""

    @property
    def pid(self) -> int:
        """Its id, which is its session's, too."""

    @property
    def returncode(self) -> int | None:
        """None while it runs."""

    async def wait(self) -> int:
        """Wait for its end; its `returncode`."""


@dataclass
class Program:
    """One program. `log_file` takes what it prints; its folder exists. It inherits `descriptors`.

    With a `fork_server` that has imported its module it is forked from that.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log_file: Path
    descriptors: Sequence[int] = ()
    fork_server: ForkServer | None = None
    process: Running | None = None
    ending: bool = field(default=False)

    async def keep_running(self) -> None:
        """Start it, and again whenever it ends; faster deaths wait longer."""
        pause = FIRST_PAUSE
        quick_ends = 0
        while not self.ending:
            started = time.monotonic()
            with open_log(self.log_file) as output:
                self.process = process = await self._start(output)
            code = await process.wait()
            if self.ending:
                return
            was_stable = time.monotonic() - started > STABLE_SECONDS
            pause = FIRST_PAUSE if was_stable else min(LONGEST_PAUSE, pause * 2)
            quick_ends = 0 if was_stable else quick_ends + 1
            log.warning("%s ended (%s); starting it again in %.1f s", self.name, code, pause)
            if quick_ends == SHOW_LOG_AFTER:
                file = self.log_file
                log.error("%s ended %d times in a row. Its log is %s, which ends:", self.name, quick_ends, file)
                for line in self.last_words(5).splitlines():  # one record each: a record is one line
                    log.error("%s: %s", self.name, line)
            await asyncio.sleep(pause)

    async def _start(self, output: IO[bytes]) -> Running:
        if self.fork_server is not None and self.fork_server.fits(self.environment):
            with contextlib.suppress(OSError):  # it is gone
                return await self.fork_server.start(self.name, self.command[2:], self.environment, output.fileno())
        return await asyncio.create_subprocess_exec(
            *_dying_with_parent(self.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(self.environment),
            pass_fds=tuple(self.descriptors),
            start_new_session=True,  # Ctrl-C in the terminal is for the supervisor alone
        )

    def kill(self) -> None:
        """SIGKILL to its whole session: it does not answer, perhaps because it is stopped. It is started again."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """SIGTERM, then SIGKILL to its whole session."""
        self.ending = True
        process = self.process
        if process is None or process.returncode is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_SECONDS)
                return

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"
