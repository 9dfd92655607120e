"""Push a claim into a warm slot, and wait for the server to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from spawner.errors import ClaimFailed
from spawner.instance.sealing import CLAIM_PATH, HEALTH_PATH, Claim, seal

CLAIM_SECONDS = 20.0
"""The agent answers at once, but with two hundred starts at the same time this process takes seconds to send the claim
and to read the answer."""
VALID_SECONDS = 24 * 3600.0
"""How long a sealed claim is valid: longer than any two clocks differ. A slot takes one claim ever, and no other slot
can open it, so a shorter time would protect nothing."""
NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
ANSWER_PAUSE = 0.02
"""Seconds between attempts while the port refuses connections: there is no event for its opening."""


async def push_claim(
    session: aiohttp.ClientSession,
    url: str,
    *,
    claim_id: str,
    environment: Mapping[str, str],
    key: bytes,
    slot_id: str,
    now: float,
) -> None:
    """Send a sealed claim to a slot. Raises `ClaimFailed` unless it was accepted.

    `url` is the slot's notebook port without a trailing slash; `now` is seconds since 1970.
    """
    sealed = seal(
        Claim(claim_id=claim_id, expires_at=now + VALID_SECONDS, environment=environment),
        key=key,
        slot_id=slot_id,
    )
    try:
        async with session.post(
            url + CLAIM_PATH, data=sealed, timeout=aiohttp.ClientTimeout(total=CLAIM_SECONDS)
        ) as answer:
            if answer.status != 202:
                raise ClaimFailed("The slot {slot} refused its claim ({status}).", slot=slot_id, status=answer.status)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise ClaimFailed(
            "The slot {slot} did not take its claim: {why}.", slot=slot_id, why=type(error).__name__
        ) from error


async def wait_until_warm(session: aiohttp.ClientSession, url: str, *, seconds: float) -> None:
    """Wait until the agent at `url` takes claims. Raises `TimeoutError` when it does not after `seconds`.

    The port listens before the agent is ready, so most of the wait is one pending request.
    """
    async with asyncio.timeout(seconds):
        while True:
            try:
                async with session.get(url + HEALTH_PATH, timeout=NO_TIMEOUT) as answer:
                    if await answer.text() == "warm":
                        return
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(ANSWER_PAUSE)


async def wait_for_answer(session: aiohttp.ClientSession, url: str, *, seconds: float) -> None:
    """Wait until the server at `url` answers HTTP. Raises `ClaimFailed` when it has not after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while (left := deadline - loop.time()) > 0:
        try:
            # The port listens since before the claim, so this request is pending until the server accepts it.
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=left), allow_redirects=False) as answer:
                if answer.status < 500:
                    return
        except (aiohttp.ClientError, OSError):
            pass
        except TimeoutError:
            break
        await asyncio.sleep(ANSWER_PAUSE)
    raise ClaimFailed("The server did not answer within {seconds:.0f} s.", seconds=seconds)
