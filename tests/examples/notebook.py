"""Runs notebooks in a user's instance over the network: Jupyter's REST API for files, its websocket for code."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from websocket import WebSocket, create_connection

RUN_SECONDS = 300
"""For one cell: training takes half a minute of one processor, and tests share two."""


class CellFailed(AssertionError):
    """A cell raised an error; the message is its traceback without colours."""


@dataclass
class Run:
    """What running a notebook brought: what was printed, what went to stderr, and a value of its kernel afterwards."""

    printed: str = ""
    complaints: str = ""
    pictures: int = 0
    result: Any = None


@dataclass
class Jupyter:
    """One instance's Jupyter server. `url` ends with the user's prefix and a slash."""

    url: str
    token: str
    session: str = field(default_factory=lambda: uuid.uuid4().hex)

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Call Jupyter's REST API."""
        headers = {"Authorization": f"token {self.token}"}
        answer = httpx.request(method, f"{self.url}api/{path}", headers=headers, timeout=60, **kwargs)
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content else None

    def cells(self, path: str) -> tuple[str, list[str]]:
        """The name of a notebook's kernel, and its code cells."""
        notebook = self.call("GET", f"contents/{quote(path)}", params={"content": 1})["content"]
        code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
        return notebook["metadata"]["kernelspec"]["name"], code

    @contextmanager
    def kernel(self, path: str, name: str = "python3") -> Iterator[WebSocket]:
        """A fresh kernel beside a notebook, as JupyterLab would start it, and the way to talk to it."""
        kernel = self.call("POST", "kernels", json={"name": name, "path": path})["id"]
        socket = create_connection(
            f"{self.url.replace('http', 'ws', 1)}api/kernels/{kernel}/channels?session_id={self.session}",
            header={"Authorization": f"token {self.token}"},
            timeout=RUN_SECONDS,
        )
        try:
            yield socket
        finally:
            socket.close()
            self.call("DELETE", f"kernels/{kernel}")

    def run(self, path: str, result: str, *, meanwhile: Callable[[], None] = lambda: None) -> Run:
        """Run a notebook from top to bottom, then evaluate an expression in its kernel, whose value JSON can hold.

        `meanwhile`: what to do before the kernel ends. Raises `CellFailed` at the first error.
        """
        run, asked = Run(), Run()
        kernel, cells = self.cells(path)
        with self.kernel(path, kernel) as socket:
            for source in cells:
                self.execute(socket, source, run)
            self.execute(socket, f"import json; print(json.dumps({result}))", asked)
            meanwhile()
        run.result = json.loads(asked.printed)
        return run

    def execute(self, socket: WebSocket, source: str, run: Run) -> None:
        """Run one cell, and wait until the kernel is idle again."""
        request = uuid.uuid4().hex
        header = {"msg_id": request, "msg_type": "execute_request", "session": self.session, "version": "5.3"}
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        empty: dict[str, Any] = {"parent_header": {}, "metadata": {}}
        socket.send(json.dumps({"header": header, "content": content, "channel": "shell", **empty}))
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            message = json.loads(socket.recv())
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream" if content["name"] == "stdout":
                    run.printed += content["text"]
                case "stream":
                    run.complaints += content["text"]
                case "display_data" | "execute_result":
                    run.pictures += "image/png" in content["data"]
                case "error":
                    raise CellFailed(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"])))
                case "status" if content["execution_state"] == "idle":
                    return
        raise CellFailed(f"a cell was still running after {RUN_SECONDS} s:\n{source}")
