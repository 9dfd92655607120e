"""A program that lives and does not answer is ended, and one that has no chance to answer is not."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spawner.local import liveness, processes
from spawner.local.processes import Program

SECONDS = 0.6


@asynccontextmanager
async def kept(folder: Path, answers: list[bool]) -> AsyncIterator[Program]:
    """A program that sleeps, watched by a question whose answers the test gives: the last one again and again."""
    program = Program("hub", [sys.executable, "-c", "import time; time.sleep(600)"], {}, folder / "hub.log")

    async def question() -> bool:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    tasks = [
        asyncio.create_task(program.keep_running()),
        asyncio.create_task(liveness.watch(program, question, seconds=SECONDS)),
    ]
    try:
        yield program
    finally:
        await program.end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_program_that_stops_answering_is_started_again_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE", 0.01)
    async with kept(tmp_path, [True, False]) as program:
        async with asyncio.timeout(30):
            while program.process is None:
                await asyncio.sleep(0.01)
            first = program.process
            await first.wait()
    assert first.returncode == -9
    assert "hub lives but has not answered for 1 s; starting it again" in caplog.text


@pytest.mark.parametrize("answers", [[True], [False], [True, *([False] * 3), True, *([False] * 3), True]])
async def test_a_program_that_answers_now_and_then_or_only_begins_is_left_alone(
    answers: list[bool], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with kept(tmp_path, answers) as program:
        await asyncio.sleep(3 * SECONDS)  # nothing must happen in this time
        assert program.process is not None
        assert program.process.returncode is None
    assert caplog.text == ""


async def test_the_watch_ends_when_it_is_cancelled_just_as_an_answer_arrives(tmp_path: Path) -> None:
    """Python 3.11's `asyncio.wait_for` returns the answer then, and drops the cancellation: Ctrl-C ended nothing."""
    program = Program("hub", [sys.executable, "-c", "import time; time.sleep(600)"], {}, tmp_path / "hub.log")
    asked, answer = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def question() -> bool:
        asked.set()
        return bool(await answer)

    keeping = asyncio.create_task(program.keep_running())
    watching = asyncio.create_task(liveness.watch(program, question, seconds=SECONDS))
    try:
        async with asyncio.timeout(30):
            await asked.wait()
        answer.set_result(True)
        await asyncio.sleep(0)  # the question is answered; who asked it has not run since
        watching.cancel()
        done, _ = await asyncio.wait({watching}, timeout=SECONDS * 3)
        assert done
    finally:
        await program.end()
        keeping.cancel()
        watching.cancel()
        await asyncio.gather(keeping, watching, return_exceptions=True)
