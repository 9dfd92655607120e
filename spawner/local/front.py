"""The public port: its listening sockets, which the supervisor holds as long as it runs, and the proxy that gets them.

A proxy that ends leaves the port to nobody, and a request that arrives meanwhile waits in the socket's queue.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from spawner.errors import SetupError
from spawner.settings import LARGEST_REQUEST, LOOPBACK, Settings

BACKLOG = 1024
LOOPBACK_6 = "::1"
COVERS_LOOPBACK = ("0.0.0.0", "::", LOOPBACK)  # noqa: S104
MOST_CONNECTIONS = 10_000
SPARE_DESCRIPTORS = 256
LARGEST_PORT = 65535
STARTER = Path(__file__).parents[2] / "hub_config" / "proxy" / "front.js"


def open_public_sockets(address: str, port: int) -> list[socket.socket]:
    """Listen on the public address, and on loopback where the address does not include it. Raises `SetupError`.

    Browsers resolve `localhost` to both loopback addresses: another program at `::1` would get their requests.
    """
    listeners = [_listen(address, port)]
    first = listeners[0].getsockname()[0]
    more = [LOOPBACK] if first not in COVERS_LOOPBACK else []
    if first not in ("::", LOOPBACK_6) and _has_ipv6_loopback():
        more.append(LOOPBACK_6)
    try:
        for place in more:
            listeners.append(_listen(place, port))
    except SetupError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _has_ipv6_loopback() -> bool:
    try:
        with socket.create_server((LOOPBACK_6, 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def open_gate_socket() -> socket.socket:
    """Listen on a loopback port for the hub, which looks there whether paid servers are up."""
    return socket.create_server((LOOPBACK, 0), backlog=BACKLOG)


def open_former_hub_port(state: Path, address: str) -> list[socket.socket]:
    """The hub's own port of Freepool 0.1 as one more port of the proxy, where slots of that version may still run.

    Their notebooks ask the hub there whether a visitor may enter. Removed in the release after 0.2.
    """
    file = state / "ports.json"
    slots = state / "slots"
    if not slots.is_dir() or all(entry.name.startswith(".") for entry in slots.iterdir()):
        file.unlink(missing_ok=True)
        return []
    try:
        port = int(json.loads(file.read_text())["hub_port"])
        return [_listen(address, port)] if 0 < port <= LARGEST_PORT else []
    except (OSError, ValueError, KeyError, TypeError, SetupError):
        return []  # there is no such version before this one, or another program has the port


def _listen(address: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            address or "0.0.0.0",  # noqa: S104  (as JupyterHub reads an empty address)
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        family, _, _, _, place = found[0]
        both = family == socket.AF_INET6 and place[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((place[0], port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except (OSError, OverflowError, UnicodeError) as error:
        raise _refusal(address, port, error) from None


def _refusal(address: str, port: int, error: Exception) -> SetupError:
    number = error.errno if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else None
    why = os.strerror(number) if number else (getattr(error, "strerror", None) or str(error)).rstrip(".")
    if isinstance(error, socket.gaierror | UnicodeError) or number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return SetupError(
            "Cannot listen on the address {address}: {why}.",
            next_step="Set `address` in the settings file to an address of this machine, such as 127.0.0.1, 0.0.0.0 or "
            "::1; without it, 127.0.0.1 is used.",
            address=address,
            why=why,
        )
    return SetupError(
        "Port {port} cannot be used: {why}.",
        next_step="Choose another with PORT=8001 make run (or --port).",
        port=port,
        why=why,
    )


def front_command(settings: Settings, proxy: Sequence[str], listeners: Sequence[socket.socket]) -> list[str]:
    """Runs our starter with the Node.js and the configurable-http-proxy of `proxy` (`preflight.proxy_command`)."""
    node, script = proxy
    assert settings.proxy_api_socket is not None  # on one machine
    options = {
        "modules": str(Path(script).parents[2]),
        "descriptors": [listener.fileno() for listener in listeners],
        "api": str(settings.proxy_api_socket),
        "routes": str(routes_file(settings.state)),
        "hub": settings.hub_bind_url,
        "desk": settings.desk_url,
        "deskPath": desk_route(settings),
        "gate": settings.gate_url,
        "gatePort": settings.gate_port,
        "relayPath": f"/{_host(settings)}/user" if _host(settings) else "",
        "host": _host(settings),
        "limits": {"bodyBytes": LARGEST_REQUEST},
        "connections": most_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
    }
    return [node, str(STARTER), json.dumps(options)]


def desk_route(settings: Settings) -> str:
    """The desk's path in the proxy's table, which begins with the host where routes have one."""
    host = _host(settings)
    return f"/{host}/services/desk" if host else "/services/desk"


def _host(settings: Settings) -> str:
    return (urlsplit(settings.subdomain_host).hostname or "") if settings.subdomain_host else ""


def routes_file(state: Path) -> Path:
    """Where the proxy keeps its routes from one of its lives to the next."""
    return state / "routes.json"


def most_connections(descriptors: int) -> int:
    """How many connections the proxy takes at once: each needs a second one, to where it leads."""
    if descriptors == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(1, min(MOST_CONNECTIONS, (descriptors - SPARE_DESCRIPTORS) // 2))
