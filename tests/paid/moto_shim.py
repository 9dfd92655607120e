"""moto's server in a process of its own, behind a shim for what it lacks: `python -m tests.paid.moto_shim`.

moto has no presigned URLs and does not check external ids across accounts; the shim does both. It also drops
connections and answers on request, by `POST /shim/…`.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.sagemaker.models import sagemaker_backends
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

DENIED = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error>
<RequestId>1</RequestId></ErrorResponse>"""
JSON_ERRORS = {
    "throttled": (400, "ThrottlingException", "Rate exceeded"),
    "denied": (400, "AccessDeniedException", "not authorized to perform"),
    "expired": (400, "ExpiredTokenException", "The security token included in the request is expired"),
    "skewed": (400, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than"),
    "limit": (400, "ResourceLimitExceeded", "The account-level service limit is 0 Instances"),
    "capacity": (400, "InsufficientCapacity", "no capacity for ml.t3.medium"),
    "server": (500, "InternalFailure", "failed"),
}
Start = Callable[..., Any]


class Shim:
    """moto's application, and what happens before and after it."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._forget()

    def _forget(self) -> None:
        self.seen: list[str] = []
        self.faults: list[list[str]] = []
        self.trust: dict[str, str | None] = {}
        self.secrets: list[str] = []

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """WSGI."""
        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"], text = io.BytesIO(data), data.decode("utf-8", "replace")
        if environ["PATH_INFO"].startswith("/shim/"):
            return self._steer(environ["PATH_INFO"].removeprefix("/shim/"), json.loads(text or "{}"), start)
        action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2] or parse_qs(text).get("Action", [""])[0]
        self.seen.append(action)
        kind = self._fault(action)
        if kind:
            return self._fail(kind, environ, start)
        if action == "AssumeRole" and not self._trusted(parse_qs(text)):
            return _send(start, 403, DENIED, "text/xml")
        if action == "CreatePresignedNotebookInstanceUrl":
            self.secrets.append(f"gate-{len(self.seen)}")
            name = json.loads(text)["NotebookInstanceName"]
            url = f"https://{name}.notebook.us-east-1.sagemaker.aws?authToken={self.secrets[-1]}"
            return _send(start, 200, json.dumps({"AuthorizedUrl": url}))
        answer = list(self._moto(environ, start))
        if action == "AssumeRole":
            content = b"".join(answer).decode()
            self.secrets += [
                content.partition(f"<{tag}>")[2].partition("<")[0] for tag in ("SecretAccessKey", "SessionToken")
            ]
        return answer

    def _steer(self, what: str, data: Any, start: Start) -> list[bytes]:
        if what == "reset":
            self._forget()
        elif what == "fault":
            self.faults += [[data["action"], data["kind"]]] * data["times"]
        elif what == "trust":
            self.trust[data["arn"]] = data["external_id"]
        elif what == "distrust":
            self.trust.pop(data["arn"], None)
        content = {"seen": self.seen, "secrets": self.secrets, "names": _names()}
        return _send(start, 200, json.dumps(content))

    def _fail(self, kind: str, environ: dict[str, Any], start: Start) -> list[bytes]:
        if kind in JSON_ERRORS:
            status, code, text_of_error = JSON_ERRORS[kind]
            return _send(start, status, json.dumps({"__type": code, "message": text_of_error}))
        if kind == "redirect":
            start("302 Found", [("Location", "/elsewhere"), ("Content-Length", "0")])
            return []
        if kind.endswith("_after"):
            b"".join(self._moto(environ, lambda *_: None))
        if kind.startswith("page_"):
            return _send(start, 502, "<html>Bad Gateway</html>", "text/html")
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError

    def _fault(self, action: str) -> str:
        for fault in self.faults:
            if fault[0] == action:
                self.faults.remove(fault)
                return fault[1]
        return ""

    def _trusted(self, form: dict[str, list[str]]) -> bool:
        arn = form["RoleArn"][0]
        if arn not in self.trust:
            return False
        return self.trust[arn] is None or form.get("ExternalId") == [self.trust[arn]]


def _names() -> list[str]:
    """Of all notebook instances, in all accounts and regions."""
    return [
        name
        for regions in sagemaker_backends.values()
        for backend in regions.values()
        for name in backend.notebook_instances
    ]


def _send(start: Start, status: int, body: str, kind: str = "application/x-amz-json-1.1") -> list[bytes]:
    data = body.encode()
    start(f"{status} X", [("Content-Type", kind), ("Content-Length", str(len(data)))])
    return [data]


def main() -> None:
    """Serve until killed; the address is the first line of the output."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, Shim(), threaded=True, request_handler=MotoRequestHandler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
