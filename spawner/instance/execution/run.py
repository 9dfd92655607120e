"""Runs one piece of code in a kernel, and says what became of it: answered, or the kernel is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import zmq
import zmq.asyncio

LOOK_SECONDS = 0.5
"""Between looks at the kernel's process: its end closes no socket that would tell."""
FLUSH_SECONDS = 0.1
LOST_SECONDS = 2.0
"""After the answer, how long to wait for the message that ends the output. Under a flood ZeroMQ drops messages."""


class Loss(StrEnum):
    """How a kernel was lost."""

    DIED = "died"
    ENDED = "ended"
    """The user restarted it or shut it down."""


@dataclass(frozen=True)
class Outcome:
    """`reply`: the content of `execute_reply`; None where the kernel was lost."""

    reply: dict[str, Any] | None
    loss: Loss | None = None


def forget_state_at_restarts(manager: Any) -> None:
    """Let a kernel that Jupyter restarts after its death count as starting, as after a restart that the user asked for.

    Else it counts as busy with the cell that it died in. Jupyter Server opens channels to a busy kernel without waiting
    until its messages arrive, and JupyterLab, which connects anew just then, misses that the kernel is idle: it says
    "Unknown" until the next cell runs (`ZMQChannelsWebsocketConnection.nudge`). Called again, it does nothing more.
    """
    if getattr(manager, "freepool_forgets_state", False):
        return
    manager.freepool_forgets_state = True
    manager.add_restart_callback(lambda: setattr(manager, "execution_state", "starting"), "restart")


class Life:
    """One process of a kernel, from its start to its end. A restarted kernel has another one."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.process = manager.provisioner.process if manager.provisioner else None
        self.pid: int = self.process.pid if self.process else 0
        self._died = False
        self.client: Any = None

    async def connect(self) -> None:
        """Open the channels. Raises `RuntimeError` where the kernel does not answer."""
        self.client = self.manager.client()
        self.client.start_channels()
        self.manager.add_restart_callback(self._note_death, "restart")
        forget_state_at_restarts(self.manager)
        await self.client.wait_for_ready(timeout=60)

    def _note_death(self) -> None:
        self._died = True  # Jupyter restarts a kernel by itself only after it has died

    def loss(self) -> Loss | None:
        """How the process has ended; None while it runs."""
        provisioner = self.manager.provisioner
        if self._died:
            return Loss.DIED
        if provisioner is None or provisioner.process is not self.process or self.process is None:
            return Loss.ENDED
        if self.process.poll() is None:
            return None
        return Loss.ENDED if self.manager.shutting_down else Loss.DIED

    def close(self) -> None:
        """Close the channels."""
        if self.client is None:
            return
        self.manager.remove_restart_callback(self._note_death, "restart")
        self.client.stop_channels()
        if getattr(self.client, "_created_context", False) and self.client.context:
            self.client.context.destroy(linger=0)
        self.client = None


async def run(
    life: Life,
    code: str,
    *,
    on_output: Callable[[dict[str, Any]], None],
    on_input: Callable[[dict[str, Any]], Awaitable[None]],
    on_turn: Callable[[], None],
    on_sent: Callable[[str], None],
) -> Outcome:
    """Run code. `on_output` gets every message that the kernel publishes, those of other requests, too; `on_turn` is
    called some ten times a second; `on_sent` gets the id that the outputs of this code will name."""
    client = life.client
    message_id = client.execute(code, allow_stdin=True)
    on_sent(message_id)
    sockets = {
        channel.socket: channel for channel in (client.iopub_channel, client.stdin_channel, client.shell_channel)
    }
    poller = zmq.asyncio.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    reply: dict[str, Any] | None = None
    idle, answered = False, 0.0
    flushed = looked = time.monotonic()
    while not (reply is not None and (idle or time.monotonic() - answered > LOST_SECONDS)):
        ready = await poller.poll(int(1000 * (FLUSH_SECONDS if reply is None else 0.05)))
        for socket, _ in ready:
            message = await sockets[socket].get_msg(timeout=0)
            kind, is_ours = message["header"]["msg_type"], message["parent_header"].get("msg_id") == message_id
            if kind == "execute_reply" and is_ours:
                reply, answered = message["content"], time.monotonic()
            elif kind == "input_request":
                await on_input(message)
            elif sockets[socket] is client.iopub_channel:
                on_output(message)
                idle = idle or (is_ours and kind == "status" and message["content"]["execution_state"] == "idle")
        now = time.monotonic()
        if now - flushed >= FLUSH_SECONDS:
            on_turn()
            flushed = now
            await asyncio.sleep(0)  # a flood must not keep others from their turn
        if not ready and now - looked >= LOOK_SECONDS:
            looked = now
            if loss := life.loss():
                on_turn()
                return Outcome(None, loss)
    on_turn()
    return Outcome(reply)
