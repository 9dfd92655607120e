"""Output widgets: what a kernel prints while one captures goes into the widget instead of the cell.

A browser does this for requests that it has sent itself. Here the server has sent them, so it keeps the widget's state:
told to the open tabs as if the kernel had changed it, and to the kernel when the cell has ended, which tells all tabs.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from spawner.instance.execution.cell import Displays, Output, WidgetOutputs, Writer

TELL_SECONDS = (0.2, 1.0, 5.0)
"""When open tabs are told after a change. They know a widget only once they have heard of it from the kernel, and have
loaded what shows widgets; what comes before that is lost."""
Tell = Callable[[str, list[Output]], None]
"""Tells all open tabs the outputs of a widget (id)."""


class Widgets:
    """The Output widgets of one kernel."""

    def __init__(self, displays: Displays, tell: Tell, clock: Callable[[], float]) -> None:
        self._displays, self._tell, self._clock = displays, tell, clock
        self._places: dict[str, WidgetOutputs] = {}
        self._writers: dict[str, Writer] = {}
        self._by_message: dict[str, str] = {}
        self._due: dict[str, list[float]] = {}
        """When open tabs are told of a widget that has changed."""
        self._changed: set[str] = set()
        """Those that the kernel knows nothing of."""

    def note(self, content: Mapping[str, Any]) -> None:
        """Take a message of a widget's: those that set `msg_id` say which request's output it captures from now on."""
        data = content.get("data", {})
        state = data.get("state", {}) if data.get("method") == "update" else {}
        if "msg_id" not in state:
            return
        comm = str(content["comm_id"])
        for message, there in list(self._by_message.items()):
            if there == comm:
                del self._by_message[message]
        if state["msg_id"]:
            self._by_message[state["msg_id"]] = comm
            if comm not in self._writers:
                self._places[comm] = WidgetOutputs(comm, lambda: self._note_change(comm))
                self._writers[comm] = Writer(self._places[comm], self._displays)

    def capturing(self, message_id: str) -> Writer | None:
        """Where output of a request goes; None: into its cell."""
        comm = self._by_message.get(message_id)
        return self._writers[comm] if comm else None

    def flush(self) -> None:
        """Write the text that waits, and tell open tabs."""
        for writer in self._writers.values():
            writer.flush()
        now = self._clock()
        for comm, times in self._due.items():
            if times and times[0] <= now:
                self._due[comm] = [one for one in times if one > now]
                self._tell(comm, self._places[comm].outputs)

    def tell_kernel(self, client: Any) -> None:
        """Have the kernel's widgets hold what was captured: tabs that are opened later get it from there."""
        self.flush()
        for comm in self._changed:
            content = {"comm_id": comm, "data": update(self._places[comm].outputs)}
            client.shell_channel.send(client.session.msg("comm_msg", content))
        self._changed.clear()
        self._due.clear()

    def _note_change(self, comm: str) -> None:
        self._changed.add(comm)
        soon = self._due.get(comm, [])[:1]  # at the latest, however often it changes
        self._due[comm] = [*soon, *(self._clock() + seconds for seconds in TELL_SECONDS)]


def update(outputs: list[Output]) -> dict[str, Any]:
    """The message of a widget whose outputs have changed."""
    return {"method": "update", "state": {"outputs": outputs}, "buffer_paths": []}


def tell_tabs(kernel_id: str, comm: str, outputs: list[Output]) -> None:
    """Send a widget's outputs to the open tabs of a kernel, as if the kernel had sent them."""
    from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

    content = {"comm_id": comm, "data": update(outputs)}
    for connection in list(ZMQChannelsWebsocketConnection._open_sockets):
        stream = connection.channels.get("iopub")
        if connection.kernel_id == kernel_id and stream is not None:
            message = connection.session.msg("comm_msg", content, parent={"msg_id": uuid.uuid4().hex})
            parts = connection.session.serialize(message)
            connection.handle_outgoing_message(stream, parts)
