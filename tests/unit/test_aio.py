"""What many ask for at the same time is read once."""

from __future__ import annotations

import asyncio

import pytest

from spawner.aio import Recent


async def test_many_who_ask_at_once_cost_one_look_and_so_do_those_after_them_for_a_while() -> None:
    now, looks = [0.0], 0

    async def look() -> int:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        if looks == 3:
            raise ConnectionError
        return looks

    recent = Recent(look, seconds=5, clock=lambda: now[0])
    assert await asyncio.gather(*(recent.get() for _ in range(100))) == [1] * 100
    now[0] = 4.9
    assert await recent.get() == 1
    now[0] = 5
    assert await recent.get() == 2
    now[0] = 10
    with pytest.raises(ConnectionError):
        await recent.get()
    assert await recent.get() == 4, "a failure is not kept"
