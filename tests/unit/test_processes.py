"""The supervisor restarts a program, and reports why a program keeps failing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from spawner.local import processes
from spawner.local.processes import Program


async def test_a_program_that_keeps_failing_shows_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(processes, "STABLE_SECONDS", 600)  # a busy machine may take seconds to start an interpreter
    file = tmp_path / "hub.log"
    code = "raise ModuleNotFoundError('tornado')"
    program = Program("hub", [sys.executable, "-c", code], {}, file)
    keeping = asyncio.create_task(program.keep_running())

    def errors() -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if (record.name, record.levelname) == ("freepool.up", "ERROR")
        ]

    while not any("ModuleNotFoundError" in line for line in errors()):
        await asyncio.sleep(0.02)
    await program.end()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    first, *lines = errors()
    assert first == f"hub ended 3 times in a row. Its log is {file}, which ends:"
    assert "hub: ModuleNotFoundError: tornado" in lines
