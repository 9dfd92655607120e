"""Websockets as a program opens them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect


@asynccontextmanager
async def websocket(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[WebSocketClientConnection]:
    """One that follows no redirect, as Node's do not; afterwards both ends have closed it.

    :raises HTTPClientError: if the server refuses it
    """
    address = url.replace("http", "ws", 1)
    socket = await websocket_connect(HTTPRequest(address, headers=dict(headers or {}), follow_redirects=False))
    assert socket.protocol is not None
    stream = socket.protocol.stream
    assert stream is not None
    try:
        yield socket
    finally:
        socket.close()
        while not stream.closed():
            await asyncio.wait_for(socket.read_message(), 20)
