"""The cells that wait for a kernel and the one that runs, for each kernel: behind nbmodel's HTTP API.

A result is kept until it is asked for once, and of results that nobody asks for (a closed tab) the last `MOST_RESULTS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from spawner.instance.execution.cell import Displays, Output, Writer
from spawner.instance.execution.documents import Documents
from spawner.instance.execution.run import Life, Loss, run
from spawner.instance.execution.widgets import Widgets, tell_tabs

log = logging.getLogger("freepool.execution")
MOST_RESULTS = 1000
ABORTED = {"status": "aborted", "execution_count": None, "outputs": "[]"}
"""The result of a cell that is not run: one before it failed, or it was sent again."""


@dataclass
class Request:
    """One cell that was sent. `result` is the answer; None while it waits or runs."""

    id: str
    kernel_id: str
    code: str
    metadata: dict[str, Any]
    result: dict[str, Any] | None = None
    is_running: bool = False

    @property
    def context(self) -> dict[str, Any]:
        """What each answer about it says."""
        return {
            "request_id": self.id,
            "kernel_id": self.kernel_id,
            "request_url": f"/api/kernels/{self.kernel_id}/requests/{self.id}",
            "cell_id": self.metadata.get("cell_id"),
            "document_path": self.metadata.get("document_path"),
        }

    @property
    def pending(self) -> dict[str, Any]:
        """The answer while there is no result. The outputs are in the shared notebook."""
        status = "running" if self.is_running else "queued"
        return {**self.context, "pending": True, "request_status": status, "outputs": "[]"}


@dataclass
class Kernel:
    """What is known of one kernel."""

    waiting: deque[Request] = field(default_factory=deque)
    requests: dict[str, Request] = field(default_factory=dict)
    worker: asyncio.Task[None] | None = None
    life: Life | None = None
    displays: Displays = field(default_factory=Displays)
    widgets: Widgets | None = None
    input: dict[str, Any] | None = None
    asked_by: str = ""


class Executions:
    """Stands in for nbmodel's `ExecutionStack`, which has the same methods."""

    def __init__(self, manager: Any, ydoc_extension: Any) -> None:
        self._manager = manager
        self._documents = Documents(ydoc_extension)
        self._kernels: dict[str, Kernel] = {}

    def put(
        self, kernel_id: str, snippet: str, metadata: dict[str, Any] | None = None, remote_server: object = None
    ) -> str:
        """Add a cell. Returns the request's id. A cell that waits already is moved to the end."""
        if remote_server is not None:
            raise ValueError("Kernels of another server are not reached through this one.")
        self._forget_ended()
        kernel = self._kernels.setdefault(kernel_id, Kernel())
        request = Request(str(uuid.uuid4()), kernel_id, snippet, metadata or {})
        cell = request.metadata.get("cell_id")
        for other in [one for one in kernel.waiting if cell and one.metadata.get("cell_id") == cell]:
            kernel.waiting.remove(other)
            other.result = ABORTED
        kernel.waiting.append(request)
        kernel.requests[request.id] = request
        for done in [one for one in kernel.requests.values() if one.result is not None][:-MOST_RESULTS]:
            del kernel.requests[done.id]
        if kernel.worker is None or kernel.worker.done():
            kernel.worker = asyncio.create_task(self._work(kernel))
        return request.id

    def get(self, kernel_id: str, uid: str) -> dict[str, Any]:
        """The state of a request; its result only once. Raises `ValueError` where there is none."""
        kernel = self._kernels.get(kernel_id)
        request = kernel.requests.get(uid) if kernel else None
        if kernel is None or request is None:
            raise ValueError(f"Execution request {uid} for kernel {kernel_id} does not exist.")
        if kernel.input is not None and kernel.asked_by == uid:
            return {**kernel.input, **request.context, "pending": True, "request_status": "input"}
        if request.result is None:
            return request.pending
        del kernel.requests[uid]
        return {**request.result, **request.context, "pending": False, "request_status": "complete"}

    def pending(self, kernel_id: str) -> list[dict[str, Any]]:
        """The cells that wait or run."""
        kernel = self._kernels.get(kernel_id)
        return [one.pending for one in kernel.requests.values() if one.result is None] if kernel else []

    async def send_input(self, kernel_id: str, value: str) -> None:
        """Answer an `input()`."""
        kernel = self._kernels.get(kernel_id)
        if kernel is None or kernel.life is None or kernel.life.client is None:
            raise ValueError(f"Unable to find kernel {kernel_id}")
        kernel.input = None
        kernel.life.client.input(value)

    async def interrupt(self, kernel_id: str, request_id: str | None = None) -> None:
        """Interrupt what runs. Raises `ValueError` for an unknown request."""
        kernel = self._kernels.get(kernel_id)
        if request_id is not None and (kernel is None or request_id not in kernel.requests):
            raise ValueError(f"Execution request {request_id} for kernel {kernel_id} does not exist.")
        await self._manager.interrupt_kernel(kernel_id)

    def is_remote(self, _kernel_id: str) -> bool:
        """No kernel of another server is reached through this one."""
        return False

    async def dispose(self) -> None:
        """End all."""
        workers = [kernel.worker for kernel in self._kernels.values() if kernel.worker]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for kernel in self._kernels.values():
            if kernel.life:
                kernel.life.close()
        self._kernels.clear()

    async def _work(self, kernel: Kernel) -> None:
        """Run what waits, one after the other, until nothing does."""
        while kernel.waiting:
            request = kernel.waiting.popleft()
            request.is_running = True
            try:
                request.result = await self._run(kernel, request)
            except Exception as error:  # the next cell must run whatever this one has met
                log.exception("cell %s could not be run", request.metadata.get("cell_id"))
                request.result = {"error": str(error) or type(error).__name__}
            if request.result.get("status") != "ok":
                for other in kernel.waiting:
                    other.result = ABORTED
                kernel.waiting.clear()

    def _forget_ended(self) -> None:
        """Close the channels to kernels that were shut down."""
        for kernel_id, kernel in list(self._kernels.items()):
            if kernel_id not in self._manager and not (kernel.worker and not kernel.worker.done()):
                if kernel.life:
                    kernel.life.close()
                del self._kernels[kernel_id]

    async def _connected(self, kernel: Kernel, kernel_id: str) -> Life:
        if kernel.life is not None and kernel.life.loss() is not None:
            kernel.life.close()
            kernel.life = None
        if kernel.life is None:
            life = Life(self._manager.get_kernel(kernel_id))
            await life.connect()
            kernel.life, kernel.displays = life, Displays()
            kernel.widgets = Widgets(kernel.displays, partial(tell_tabs, kernel_id), time.monotonic)
        return kernel.life

    async def _run(self, kernel: Kernel, request: Request) -> dict[str, Any]:
        life = await self._connected(kernel, request.kernel_id)
        document = await self._documents.find(request.metadata)
        unshared: list[Output] = []
        cell = document.cell if document else None
        writer = Writer(cell or _Plain(request.id, unshared), kernel.displays)
        kernel.displays.forget(writer.to.key)
        started = datetime.now(UTC)
        if cell:
            cell.begin()
        widgets = kernel.widgets
        assert widgets is not None  # made with the connection
        message_ids: set[str] = set()

        def take(message: dict[str, Any]) -> None:
            kind, parent = message["header"]["msg_type"], message["parent_header"].get("msg_id", "")
            if kind == "comm_msg":
                widgets.note(message["content"])
            elif parent in message_ids or kind == "update_display_data":
                (widgets.capturing(parent) or writer).write(kind, message["content"])

        def turn() -> None:
            writer.flush()
            widgets.flush()
            if document:
                document.save_if_due(time.monotonic())

        async def ask(message: dict[str, Any]) -> None:
            turn()
            header = {**message["header"], "date": str(message["header"].get("date", ""))}
            kernel.input = {"parent_header": header, "input_request": dict(message["content"])}
            kernel.asked_by = request.id

        try:
            outcome = await run(life, request.code, on_output=take, on_input=ask, on_turn=turn, on_sent=message_ids.add)
        finally:
            kernel.input = None
        if outcome.loss is Loss.DIED:
            writer.write("error", kernel_died(self._why(life.pid)))
        elif outcome.reply is not None:
            widgets.tell_kernel(life.client)
        turn()
        reply = outcome.reply or {"status": "error", "execution_count": None}
        if cell:
            cell.end(reply.get("execution_count"), _timing(request, started, reply))
            assert document is not None
            with contextlib.suppress(Exception):  # the room's own saving follows
                await document.save()
        return {
            "status": reply["status"],
            "execution_count": reply.get("execution_count"),
            "outputs": "[]" if cell else _plain(unshared),
        }

    def _why(self, pid: int) -> str:
        """Why a kernel's process ended, in words for its user; empty where that is not known."""
        usage = self._manager.parent.web_app.settings.get("freepool_usage") if self._manager.parent else None
        return str(usage.watcher.explain(pid)) if usage else ""


class _Plain:
    """For a notebook that is not shared: the outputs are in the answer."""

    def __init__(self, key: str, outputs: list[Output]) -> None:
        self.key = key
        self._outputs = outputs

    def add(self, output: Output) -> None:
        self._outputs.append(dict(output))

    def extend_text(self, drop: int, text: str) -> None:
        shown = self._outputs[-1]["text"].encode()
        self._outputs[-1]["text"] = shown[: len(shown) - drop].decode() + text

    def replace(self, index: int, output: Output) -> None:
        self._outputs[index] = output

    def clear(self) -> None:
        self._outputs.clear()


def kernel_died(why: str) -> dict[str, Any]:
    """What a cell shows whose kernel has died."""
    text = why or "The kernel died while this cell ran. Its variables are gone; files are kept."
    return {"ename": "KernelDied", "evalue": text, "traceback": [f"KernelDied: {text}"]}


def _plain(outputs: list[Output]) -> str:
    return json.dumps(outputs, default=str)


def _timing(request: Request, started: datetime, reply: dict[str, Any]) -> dict[str, str] | None:
    if not request.metadata.get("record_timing"):
        return None
    done = "shell.execute_reply" if reply["status"] == "ok" else "execution_failed"
    return {
        "shell.execute_reply.started": _stamp(started),
        "iopub.execute_input": _stamp(started),
        done: _stamp(datetime.now(UTC)),
    }


def _stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
