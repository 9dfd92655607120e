"""Websockets take a token from their address, as VS Code and other clients of JupyterLab's own library send it.

That library (`@jupyterlab/services`) sends `Authorization` with HTTP and `?token=` with a websocket. JupyterHub takes
the latter only from a browser, which sends `Sec-Fetch-Mode: websocket`. Pages still take no token from an address:
a link with one would log its reader in.
"""

from __future__ import annotations

from typing import Any

from tornado.websocket import WebSocketHandler

from spawner.instance.apps.same_origin import is_websocket


def take_handshake_tokens(hub_auth: Any) -> None:
    """Let JupyterHub's `HubAuth` read `?token=` of every websocket; other requests stay as they were.

    A class for websockets may answer other requests, too: jupyter-server-proxy's does.
    """
    of_other_requests = hub_auth._get_token_url

    def token_in_address(handler: Any) -> str:
        if isinstance(handler, WebSocketHandler) and is_websocket(handler.request.headers):
            return str(handler.get_query_argument("token", ""))
        return str(of_other_requests(handler))

    hub_auth._get_token_url = token_in_address
