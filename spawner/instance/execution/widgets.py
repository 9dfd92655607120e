"""Output widgets: what a kernel prints while one captures goes into the widget instead of the cell.

A browser does this for requests that it has sent itself. Here the server has sent them, so it keeps the widget's state:
told to the open tabs as if the kernel had changed it, and to the kernel when the cell has ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from spawner.instance.execution.cell import Output, WidgetOutputs, Writer

Tell = Callable[[str, dict[str, Any]], None]
"""Tells all open tabs of a kernel (id) the content of a `comm_msg`."""


class Widgets:
    """The Output widgets of one kernel."""

    def __init__(self) -> None:
        self._writers: dict[str, Writer] = {}
        self._by_message: dict[str, str] = {}
        self._changed: set[str] = set()

    def note(self, content: Mapping[str, Any], kernel_id: str) -> None:
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
                self._writers[comm] = Writer(WidgetOutputs(lambda outputs: self._tell(kernel_id, comm, outputs)))

    def capturing(self, message_id: str) -> Writer | None:
        """Where output of a request goes; None: into its cell."""
        comm = self._by_message.get(message_id)
        return self._writers[comm] if comm else None

    def flush(self) -> None:
        """Write the text that waits."""
        for writer in self._writers.values():
            writer.flush()

    def tell_kernel(self, client: Any) -> None:
        """Have the kernel's widgets hold what was captured, from where a tab that is opened later gets it."""
        for comm in self._changed:
            outputs = self._writers[comm].to.outputs  # type: ignore[attr-defined]
            content = {"comm_id": comm, "data": update(outputs)}
            client.shell_channel.send(client.session.msg("comm_msg", content))
        self._changed.clear()

    def _tell(self, kernel_id: str, comm: str, outputs: list[Output]) -> None:
        self._changed.add(comm)
        tell_tabs(kernel_id, {"comm_id": comm, "data": update(outputs)})


def update(outputs: list[Output]) -> dict[str, Any]:
    """The message of a widget whose outputs have changed."""
    return {"method": "update", "state": {"outputs": outputs}, "buffer_paths": []}


def tell_tabs(kernel_id: str, content: dict[str, Any]) -> None:
    """Send a `comm_msg` to the open tabs of a kernel, as if the kernel had sent it."""
    from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

    for connection in list(ZMQChannelsWebsocketConnection._open_sockets):
        if connection.kernel_id == kernel_id:
            message = connection.session.msg("comm_msg", content, parent={"msg_id": uuid.uuid4().hex})
            stream = connection.channels.get("iopub")
            if stream is not None:
                connection.handle_outgoing_message(stream, [b"<IDS|MSG>", *connection.session.serialize(message)[1:]])
