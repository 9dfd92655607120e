"""The end of programs that code in an instance has started."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE

import pytest

from spawner.instance.subprocesses import kill_session

CHATTER = "import sys\nwhile True: sys.{stream}.write('x' * 65536)"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_program_whose_output_nobody_reads_is_ended(stream: str) -> None:
    """asyncio no longer reads a pipe whose buffer is full, and so would not see its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHATTER.format(stream=stream), stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    reader = process.stdout if stream == "stdout" else process.stderr
    assert reader is not None
    await reader.read(1)
    while len(reader._buffer) <= 2 * reader._limit:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    await asyncio.wait_for(kill_session(process), 20)
    assert process.returncode == -9
