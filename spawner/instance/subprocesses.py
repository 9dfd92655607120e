"""Ends programs that code in an instance has started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal


async def kill_session(process: asyncio.subprocess.Process) -> None:
    """SIGKILL to a process that leads a session, and to all in it; returns when it has ended.

    What it has written is thrown away: `Process.wait` returns only after its pipes were read to their end, and asyncio
    stops reading a pipe while its buffer is full.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.gather(*(_throw_away(stream) for stream in (process.stdout, process.stderr) if stream is not None))
    await process.wait()


async def _throw_away(stream: asyncio.StreamReader) -> None:
    while await stream.read(64 * 1024):
        pass
