"""Apply faults to responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from spawner.demo_cloud.faults import Fault, Kind

JSON = "application/json;charset=utf-8"
PROXY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


async def answer(
    request: web.Request, status: int, body: dict[str, Any], headers: Mapping[str, str], fault: Fault | None
) -> web.StreamResponse:
    """The response with the fault applied."""
    if fault is None:
        return _json(status, body, headers)
    kind = fault.kind
    if kind in (Kind.HANG_BEFORE, Kind.HANG_AFTER, Kind.SLOW):
        await asyncio.sleep(fault.seconds)
    if kind in (Kind.CLOSE_BEFORE, Kind.CLOSE_AFTER, Kind.HANG_BEFORE, Kind.HANG_AFTER):
        return _close_connection(request)
    if kind is Kind.HALF_BODY:
        return await _half(request, body)
    return _faulty(fault, body) or _json(status, body, headers)


def _faulty(fault: Fault, body: dict[str, Any]) -> web.Response | None:
    """The complete but wrong response of a fault; None where the fault does not change the response."""
    error = {"RequestId": body.get("RequestId"), "Code": fault.code, "Message": fault.message}
    throttled = {**error, "Code": "Throttling.User", "Message": "Request was denied due to user flow control."}
    page = web.Response(status=502, text=PROXY_PAGE, content_type="text/html")
    xml = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>".encode()
    answers = {
        Kind.HTML502: lambda: page,
        Kind.HTML502_BEFORE: lambda: page,
        Kind.EMPTY500: lambda: web.Response(status=500),
        Kind.ERROR: lambda: _json(fault.status, error, {}),
        Kind.XML: lambda: web.Response(
            status=fault.status, body=xml, headers={"Content-Type": "text/xml;charset=utf-8"}
        ),
        Kind.LIST400: lambda: web.Response(status=400, text="[]", content_type="application/json"),
        Kind.NOT_JSON: lambda: web.Response(text="ok"),
        Kind.SUCCESS_FALSE: lambda: _json(200, {**error, "Success": False, "HttpStatusCode": fault.status}, {}),
        Kind.SUCCESS_FALSE_AFTER: lambda: _json(200, {**error, "Success": False, "HttpStatusCode": fault.status}, {}),
        Kind.BODY_NONE: lambda: _json(200, {**body, "InstanceId": {}, "Labels": 7, "Instances": 7, "EcsSpecs": 7}, {}),
        Kind.NO_ID: lambda: _json(200, {**body, "InstanceId": None}, {}),
        Kind.THROTTLE: lambda: _json(400, throttled, {"x-acs-retry-after": str(int(fault.seconds * 1000) or 1000)}),
        Kind.THROTTLE_PLAIN: lambda: _json(429, throttled, {}),
        Kind.REDIRECT: lambda: web.Response(status=302, headers={"Location": fault.url}),
    }
    make = answers.get(fault.kind)
    return make() if make else None


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> web.Response:
    return web.Response(status=status, body=json.dumps(body).encode(), headers={"Content-Type": JSON, **headers})


def _close_connection(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
    data = json.dumps(body).encode()
    response = web.StreamResponse(headers={"Content-Type": JSON, "Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    return _close_connection(request)
