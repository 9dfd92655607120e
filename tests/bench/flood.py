"""Bad logins at a steady rate, in a process of its own. Prints how often each status was the answer, as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter

import aiohttp

AT_ONCE = 500
FAILED = "no answer"


async def flood(url: str, *, count: int, seconds: float, sources: list[str]) -> Counter[str]:
    """Each login is a connection of its own, from the sources in turn."""
    found: Counter[str] = Counter()
    room = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()
    sessions = [
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(source, 0), force_close=True))
        for source in sources
    ]

    async def log_in(number: int) -> None:
        try:
            async with room, sessions[number % len(sessions)].get(url, allow_redirects=False) as answer:
                await answer.read()
                found[str(answer.status)] += 1
        except (TimeoutError, aiohttp.ClientError, OSError):
            found[FAILED] += 1

    began = loop.time()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            await asyncio.sleep(max(0, began + number * seconds / count - loop.time()))
            tasks.create_task(log_in(number))
    for session in sessions:
        await session.close()
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("sources", nargs="+")
    options = parser.parse_args()
    found = asyncio.run(
        flood(options.url, count=options.count, seconds=options.seconds, sources=options.sources),
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
