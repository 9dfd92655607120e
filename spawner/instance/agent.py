"""The instance agent: imports everything, waits for one claim, then *becomes* the Jupyter server.

Same process, same port: imports, which take seconds, are done before the claim, and what is left after the claim
is about a tenth of a second. The listening socket stays open throughout, so the first request after the claim waits
in its queue instead of being refused.

The agent is told its slot by one JSON object. On one machine it comes on a file descriptor that is closed at once, so
that nothing secret is ever in the environment or the command line, where the user's code could read it later. A pod
can only be told by its environment (`FREEPOOL_ORDERS`); the one secret in it is the claim key, which the claim spends.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spawner.instance import desk_key
from spawner.instance.apps import package
from spawner.instance.arguments import lab_arguments
from spawner.instance.examples import lay_out
from spawner.instance.execution import settings as execution
from spawner.instance.features import MODELS, NOTEBOOK_PORT
from spawner.instance.folders import settle
from spawner.instance.gauges import Handed
from spawner.instance.model_links import MODELS_VARIABLE, link_models, stamp
from spawner.instance.report_key import SETTING, report_key
from spawner.instance.save.changes import MANIFEST, Manifest, take_manifest
from spawner.instance.sealing import (
    CLAIM_PATH,
    HEALTH_PATH,
    LARGEST_CLAIM,
    Claim,
    ClaimRefused,
    unseal,
)
from spawner.instance.single_user import import_single_user

log = logging.getLogger("freepool.agent")
ORDERS_VARIABLE = "FREEPOOL_ORDERS"
READ_SECONDS = 5
"""How long a connection may take to say what it wants. A claim is one small packet from a neighbour."""


@dataclass(frozen=True)
class SlotConfig:
    """What the slot's maker tells the agent. `listener` and `report` are file descriptors; -1 means none."""

    slot_id: str
    key: bytes
    root: str
    arguments: tuple[str, ...]
    listener: int = -1
    report: int = -1
    examples_from: str = ""
    examples: tuple[str, ...] = ()
    handed: Handed = field(default_factory=Handed)
    address: str = "0.0.0.0"  # noqa: S104  (a pod has one network, and a policy in front of it)
    port: int = NOTEBOOK_PORT
    manifest: Manifest = field(default_factory=dict)
    """The files that are laid out in the workspace, once they are."""


def read_config(arguments: Sequence[str], environment: MutableMapping[str, str]) -> SlotConfig:
    """Read the orders from the descriptor that the first argument names, or take them out of the environment."""
    if arguments:
        with os.fdopen(int(arguments[0]), "rb") as stream:
            fields = json.loads(stream.read())
    elif ORDERS_VARIABLE in environment:
        fields = json.loads(environment.pop(ORDERS_VARIABLE))
    else:
        raise SystemExit(f"freepool: no orders. This image is started by Freepool, which sets {ORDERS_VARIABLE}.")
    fields["key"] = bytes.fromhex(fields["key"])
    for name in ("arguments", "examples"):
        fields[name] = tuple(fields.get(name, ()))
    fields["handed"] = Handed(**fields.get("handed", {}))
    return SlotConfig(**fields)


def open_listener(orders: SlotConfig) -> socket.socket:
    """The socket that is first the agent's and then the server's: handed over, or made here."""
    if orders.listener >= 0:
        listener = socket.socket(fileno=orders.listener)
        listener.set_inheritable(False)
        return listener
    return socket.create_server((orders.address, orders.port), backlog=512)


PRELOADED = (
    "IPython.paths",  # all of IPython, which notebook_shim asks for one path
    "jinja2.ext",
    "jupyter_core.migrate",
    "jupyter_lsp.serverextension",
    "jupyter_lsp.virtual_documents_shadow",
    "jupyter_server.services.contents.largefilemanager",
    "jupyter_server.services.kernels.kernelmanager",
    "jupyter_server.services.shutdown",
    "jupyter_server.view.handlers",
    "jupyter_server_terminals.app",
    "jupyterlab.labapp",
    "notebook_shim.nbserver",
    "spawner.instance.extension",
    "spawner.instance.usage",
    "tornado.platform.asyncio",
)


def preload() -> None:
    """Import what the server needs before the claim arrives."""
    gc.disable()  # it would look through what the imports make again and again, and find nothing
    import_single_user()
    optional = (*(execution.MODULES if execution.is_installed() else ()), *package.modules())
    for name in (*PRELOADED, *optional):
        importlib.import_module(name)
    from jupyter_server.serverapp import JUPYTER_SERVICE_HANDLERS

    for handlers in JUPYTER_SERVICE_HANDLERS.values():
        for name in handlers or ():
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    gc.enable()


async def wait_for_claim(listener: socket.socket, *, slot_id: str, key: bytes) -> Claim:
    """Serve health checks and refuse wrong claims until the first valid one, which is answered and returned."""
    claimed: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            method, path, body = await asyncio.wait_for(_read_request(reader), READ_SECONDS)
            writer.write(_answer(*decide(method, path, body)))
            await asyncio.wait_for(writer.drain(), READ_SECONDS)
        except (TimeoutError, OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
            log.warning("dropped a connection: %s", type(error).__name__)
        finally:
            writer.close()

    def decide(method: str, path: str, body: bytes) -> tuple[int, str]:
        if path.endswith(HEALTH_PATH) and method == "GET":
            return 200, "warm"
        if not path.endswith(CLAIM_PATH) or method != "POST":
            return 503, "This notebook waits for its user."
        if claimed.done():
            log.warning("refused a second claim")
            return 409, "already claimed"
        try:
            claim = unseal(body, key=key, slot_id=slot_id)
        except (ClaimRefused, ValueError, KeyError, TypeError) as error:
            log.warning("refused a claim: %s", error)
            return 403, "refused"
        claimed.set_result(claim)
        return 202, "claimed"

    server = await asyncio.start_server(serve, sock=listener.dup())
    claim = await claimed
    server.close()  # stops accepting; what connects from now on waits in the listener's queue for the real server
    pending = asyncio.all_tasks() - {asyncio.current_task()}
    if pending:
        await asyncio.wait(pending, timeout=0.05)  # lets the 202 leave before the loop goes away
    return claim


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    length = int(headers.get("content-length", "0") or "0")
    if not 0 <= length <= LARGEST_CLAIM:
        raise ValueError("too long")
    return method, path.split("?")[0], await reader.readexactly(length)


_PHRASES = {200: "OK", 202: "Accepted", 403: "Forbidden", 409: "Conflict", 503: "Service Unavailable"}


def _answer(status: int, text: str) -> bytes:
    body = text.encode()
    return (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body


TOLD_TO_END = 128 + signal.SIGTERM
"""Exit code after SIGTERM. Jupyter Server itself exits with 0, and Kubernetes then calls the pod `Succeeded` and drops
why it ended it: a person whose pod was evicted would read that their notebook ended by itself."""


SHUT_DOWN = 40
"""Exit code after `POST api/shutdown`, JupyterLab's File > Shut Down. No signal and no error has this code."""


def note_shutdown(handler: Any) -> Callable[[], bool]:
    """Have a handler class (ShutdownHandler) tell whether a user has shut the server down through it."""
    asked: list[bool] = []
    shut_down = handler.post

    async def noted(request: Any, *arguments: Any) -> None:
        await shut_down(request, *arguments)  # one that may not do it raises
        asked.append(True)

    handler.post = noted
    return lambda: bool(asked)


def note_sigterm(server: Any) -> Callable[[], bool]:
    """Have a server class (ServerApp) tell whether SIGTERM has stopped it. It sets up its own handler at its start."""
    told: list[int] = []
    stop = server._signal_stop

    def noted(app: Any, number: int, frame: Any) -> None:
        if number == signal.SIGTERM:
            told.append(number)
        stop(app, number, frame)

    server._signal_stop = noted
    return lambda: bool(told)


def keep_in_memory(server: Any, settings: dict[str, object]) -> None:
    """Have a server class (ServerApp) add to the Tornado settings that its handlers see: no argument or file has it."""
    start = server.init_webapp

    def started(app: Any) -> None:
        start(app)
        app.web_app.settings.update(settings)

    server.init_webapp = started


def become_server(claim: Claim, listener: socket.socket, orders: SlotConfig) -> int:
    """Take the identity on and run the Jupyter server in this very process. Returns its exit code when it ends."""
    os.environ.update(claim.environment)
    of_desk = os.environ.pop(desk_key.VARIABLE, "")
    random.seed()  # a warm slot may have been waiting with a state that a sibling shares
    os.chdir(orders.root)

    from jupyter_core.paths import jupyter_runtime_dir
    from jupyter_server.serverapp import ServerApp
    from jupyter_server.services.shutdown import ShutdownHandler
    from jupyterhub.singleuser.extension import JupyterHubSingleUser

    def listen_on_ours(app: Any) -> bool:
        app.http_server.add_socket(listener)
        return True

    # Jupyter Server would look for a free port and bind it; ours is bound already and must not be let go of.
    ServerApp._find_http_port = lambda _app: None
    ServerApp._bind_http_server_tcp = listen_on_ours
    was_told = note_sigterm(ServerApp)
    was_shut_down = note_shutdown(ShutdownHandler)
    known: dict[str, object] = {SETTING: report_key(orders.key), desk_key.SETTING: of_desk, MANIFEST: orders.manifest}
    keep_in_memory(ServerApp, known)
    ServerApp.freepool_handed = orders.handed
    arguments = [*orders.arguments, *lab_arguments()]
    if execution.is_installed():
        execution.install()
        arguments += execution.arguments(jupyter_runtime_dir())
    JupyterHubSingleUser.launch_instance(arguments)
    if was_told():
        return TOLD_TO_END
    return SHUT_DOWN if was_shut_down() else 0


def main() -> None:
    """Entry point: `python -m spawner.instance.agent [DESCRIPTOR]`."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr
    )
    log.setLevel(logging.INFO)
    os.environ.pop("PYTHONPATH", None)  # it was for this program, not for the user's kernels
    orders = read_config(sys.argv[1:], os.environ)
    listener = open_listener(orders)
    settle(Path(orders.root), os.environ)
    store = Path(os.environ.pop(MODELS_VARIABLE, MODELS))
    linked = link_models(store, os.environ)
    lay_out(orders.examples, source=Path(orders.examples_from), root=Path(orders.root))
    orders = replace(orders, manifest=take_manifest(Path(orders.root)))
    preload()
    if orders.report >= 0:
        os.write(orders.report, b"warm\n")
        os.close(orders.report)
    log.info("warm, slot %s", orders.slot_id)
    claim = asyncio.run(wait_for_claim(listener, slot_id=orders.slot_id, key=orders.key))
    log.info("claimed by %s", claim.claim_id)
    if stamp(store) != linked:  # a model has come, or gone, since this slot was made
        link_models(store, os.environ)
    sys.exit(become_server(claim, listener, orders))


if __name__ == "__main__":
    main()
