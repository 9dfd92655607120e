"""Asks an instance what runs in it."""

from __future__ import annotations

import json

import aiohttp

from spawner.ledger import Instance

ACTIVITY_PATH = "/freepool/activity"
ASK_SECONDS = 3.0
MOST_BYTES = 256 * 1024


async def is_busy(session: aiohttp.ClientSession, instance: Instance) -> bool | None:
    """Whether a kernel runs a cell, as the instance says. None where it does not answer, or not in this form.

    The user controls the instance, so this may be a lie: nothing but a few minutes may depend on it.
    """
    if instance.url is None:
        return None
    try:
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
        async with session.get(instance.url + ACTIVITY_PATH, timeout=timeout, allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            return busy_in(await answer.content.read(MOST_BYTES))
    except (TimeoutError, aiohttp.ClientError, OSError):
        return None


def busy_in(body: bytes) -> bool | None:
    """Whether one of the `kernels` of the answer is `busy`; None where it is not such an answer."""
    try:
        kernels = json.loads(body)["kernels"]
        return any(kernel["busy"] is True for kernel in kernels)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
