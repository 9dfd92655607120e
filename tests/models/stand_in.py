"""A hub of models on loopback that speaks the few calls of ModelScope's and of Hugging Face's which are used.

What it answers was written from modelscope-hub 0.5 and huggingface_hub 2.4, which are its clients in the tests. It has
no redirects to a content network, no sign-in, no Xet; only the real hubs can show those.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LFS = (".safetensors", ".bin")


@dataclass
class Repository:
    """Contents by revision and path."""

    revisions: dict[str, dict[str, bytes]]

    def files(self, revision: str) -> dict[str, bytes] | None:
        for name, files in self.revisions.items():
            if revision in (name, commit_of(files)):
                return files
        return None


@dataclass
class StandIn:
    """`breaks`: after so many bytes of a file the connection ends, once for each number. `asked`: paths and ranges."""

    repositories: dict[str, Repository]
    breaks: list[int] = field(default_factory=list)
    resumes: bool = True
    damaged: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def contents_asked(self) -> list[str]:
        """Files that were downloaded, each as often as it was asked for."""
        return [line.removeprefix("file ") for line in self.asked if line.startswith("file ")]

    def environment(self) -> dict[str, str]:
        """Variables by which the libraries and Freepool find it."""
        return {
            "MODELSCOPE_ENDPOINT": self.url, "HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1",
        }  # fmt: skip


def commit_of(files: dict[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandIn

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        parts = unquote(address.path).strip("/").split("/")
        match parts:
            case ["api", "v1", "models", owner, name, "repo", "files"]:
                self.list_modelscope(f"{owner}/{name}", query)
            case ["api", "v1", "models", owner, name, "repo"]:
                self.content(f"{owner}/{name}", query["Revision"], query["FilePath"])
            case ["api", "models", owner, name, "revision", revision]:
                self.about(f"{owner}/{name}", revision)
            case ["api", "models", owner, name, "tree", revision, *_]:
                self.list_huggingface(f"{owner}/{name}", revision)
            case [owner, name, "resolve", revision, *path]:
                self.content(f"{owner}/{name}", revision, "/".join(path))
            case _:
                self.json({"Code": 404, "Message": f"no such call: {self.path}"}, status=404)

    def files(self, repository: str, revision: str) -> dict[str, bytes] | None:
        found = self.hub.repositories.get(repository)
        files = found.files(revision) if found else None
        if files is None:
            self.json({"Code": 404, "Message": "not found", "error": "Revision not found"}, status=404)
        return files

    def list_modelscope(self, repository: str, query: dict[str, str]) -> None:
        files = self.files(repository, query["Revision"])
        if files is not None:
            listed = [
                {"Path": path, "Name": path.split("/")[-1], "Type": "blob", "Size": len(data), "Sha256": sha256(data)}
                for path, data in files.items()
            ]
            folders = sorted({path.rpartition("/")[0] for path in files if "/" in path})
            listed += [{"Path": path, "Name": path, "Type": "tree", "Size": 0, "Sha256": ""} for path in folders]
            self.json({"Code": 200, "Data": {"Files": listed}, "Success": True})

    def about(self, repository: str, revision: str) -> None:
        files = self.files(repository, revision)
        if files is not None:
            self.json({"id": repository, "modelId": repository, "sha": commit_of(files), "siblings": [], "tags": []})

    def list_huggingface(self, repository: str, revision: str) -> None:
        files = self.files(repository, revision)
        if files is None:
            return
        listed = []
        for path, data in files.items():
            one: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": git_sha(data)}
            if path.endswith(LFS):
                one["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 134}
            listed.append(one)
        self.json(listed)

    def content(self, repository: str, revision: str, path: str) -> None:
        files = self.files(repository, revision)
        if files is None:
            return
        if path not in files:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = files[path]
        start = 0
        asked = self.headers.get("Range", "")
        if asked and self.hub.resumes:
            start = int(asked.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", f'"{sha256(data) if path.endswith(LFS) else git_sha(data)}"')
        self.send_header("X-Repo-Commit", commit_of(files))
        if path.endswith(LFS):
            self.send_header("X-Linked-Etag", f'"{sha256(data)}"')
            self.send_header("X-Linked-Size", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.hub.asked.append(f"file {path}" + (f" from {start}" if start else ""))
        body = data[start:]
        if path in self.hub.damaged:
            body = b"?" * len(body)
        if self.hub.breaks and len(body) > self.hub.breaks[0]:
            self.wfile.write(body[: self.hub.breaks.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(body)

    def json(self, data: object, status: int = 200) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.hub.asked.append(f"{status} {self.path}")
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def stand_in(**repositories: dict[str, dict[str, bytes]]) -> Iterator[StandIn]:
    """A hub with these repositories: `owner__name={revision: {path: content}}`."""
    hub = StandIn({name.replace("__", "/"): Repository(revisions) for name, revisions in repositories.items()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfThisHub", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
