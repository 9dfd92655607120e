"""SageMaker as tests have it: boto3 against moto's own server, behind a shim for the little that moto lacks.

moto has no presigned addresses, and does not look at external ids across accounts: the shim does both. It also loses
connections and answers when told to.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import requests
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from spawner.paid.providers.base import Account
from spawner.paid.providers.sagemaker_settings import SageMakerSettings, SageMakerShape

REGION, OTHER_REGION = "us-east-1", "eu-west-1"
PLATFORM_KEY = {"access_key_id": "AKIAPLATFORMKEY00000", "access_key_secret": "platform-secret-that-nobody-sees"}
EXTERNAL_ID = "fp-0123456789abcdef0123456789abcdef"
ADA, LI = "222222222222", "333333333333"
DENIED = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error>
<RequestId>1</RequestId></ErrorResponse>"""
MUTATING = ("CreateNotebookInstance", "StartNotebookInstance", "StopNotebookInstance", "DeleteNotebookInstance")
JSON_ERRORS = {
    "throttled": (400, "ThrottlingException", "Rate exceeded"),
    "denied": (400, "AccessDeniedException", "not authorized to perform"),
    "expired": (400, "ExpiredTokenException", "The security token included in the request is expired"),
    "skewed": (400, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than"),
    "limit": (400, "ResourceLimitExceeded", "The account-level service limit is 0 Instances"),
    "capacity": (400, "InsufficientCapacity", "no capacity for ml.t3.medium"),
    "server": (500, "InternalFailure", "failed"),
}


class Moto:
    """moto's application, and what happens before and after it."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.url = ""
        self.seen: list[str] = []
        self.faults: list[tuple[str, str]] = []
        self.trust: dict[str, str | None] = {}
        self.secrets: set[str] = set()

    def reset(self) -> None:
        """As new."""
        requests.post(f"{self.url}/moto-api/reset", timeout=30)
        for kept in (self.seen, self.faults, self.trust, self.secrets):
            kept.clear()  # type: ignore[attr-defined]

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI."""
        environ["wsgi.input"] = body = _Body(environ)
        action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2] or parse_qs(body.text).get("Action", [""])[0]
        self.seen.append(action)
        kind = self._fault(action)
        if kind in JSON_ERRORS:
            status, code, said = JSON_ERRORS[kind]
            return _send(start, status, json.dumps({"__type": code, "message": said}))
        if kind in ("page_before", "page_after"):
            if kind == "page_after":
                b"".join(self._moto(environ, lambda *_: None))
            return _send(start, 502, "<html>Bad Gateway</html>", "text/html")
        if kind == "redirect":
            start("302 Found", [("Location", f"{self.url}/elsewhere"), ("Content-Length", "0")])
            return []
        if kind in ("lost_before", "lost_after"):
            if kind == "lost_after":
                b"".join(self._moto(environ, lambda *_: None))
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        if action == "AssumeRole" and not self._trusted(parse_qs(body.text)):
            return _send(start, 403, DENIED, "text/xml")
        if action == "CreatePresignedNotebookInstanceUrl":
            name, number = json.loads(body.text)["NotebookInstanceName"], len(self.seen)
            url = f"https://{name}.notebook.{REGION}.sagemaker.aws?authToken=gate-{number}"
            self.secrets.add(f"gate-{number}")
            return _send(start, 200, json.dumps({"AuthorizedUrl": url}))
        answer = list(self._moto(environ, start))
        if action == "AssumeRole":
            text = b"".join(answer).decode()
            self.secrets |= {
                text.partition(f"<{tag}>")[2].partition("<")[0] for tag in ("SecretAccessKey", "SessionToken")
            }
        return answer

    def _fault(self, action: str) -> str:
        for fault in self.faults:
            if fault[0] == action:
                self.faults.remove(fault)
                return fault[1]
        return ""

    def _trusted(self, form: dict[str, list[str]]) -> bool:
        arn = form["RoleArn"][0]
        wanted = self.trust.get(arn, "")
        return wanted is None or (arn in self.trust and form.get("ExternalId") == [wanted])


class _Body:
    """A request's body, which is read here and then again by moto."""

    def __init__(self, environ: dict[str, Any]) -> None:
        import io

        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.text, self._stream = data.decode("utf-8", "replace"), io.BytesIO(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _send(start: Callable[..., Any], status: int, body: str, kind: str = "application/x-amz-json-1.1") -> list[bytes]:
    data = body.encode()
    start(f"{status} X", [("Content-Type", kind), ("Content-Length", str(len(data)))])
    return [data]


@contextlib.contextmanager
def moto_server() -> Iterator[Moto]:
    """moto's server in a thread."""
    moto = Moto()
    server = make_server("127.0.0.1", 0, moto, threaded=True, request_handler=MotoRequestHandler)
    server.daemon_threads = True
    moto.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="moto", daemon=True)
    thread.start()
    try:
        yield moto
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def sagemaker_settings(moto: Moto, folder: Path, **changes: Any) -> SageMakerSettings:
    """Settings that point at moto, with the platform's key in a file."""
    key = folder / "aws-key.json"
    key.write_text(json.dumps(PLATFORM_KEY))
    at = moto.url.removeprefix("http://")
    shapes = (
        SageMakerShape(id="ml.t3.medium", cpu=2, memory=4, price="0.05"),
        SageMakerShape(id="ml.p3.2xlarge", cpu=8, memory=61, gpu_count=1, gpu_name="NVIDIA V100", gpu_memory=16),
    )
    return SageMakerSettings(
        **{
            "principal": "arn:aws:iam::111111111111:role/freepool",
            "key_file": key,
            "regions": (REGION, OTHER_REGION),
            "shapes": shapes,
            "api": at,
            "sts": at,
            "plain_http": True,
            "read_seconds": 5,
            **changes,
        }
    )


def linked(moto: Moto, *, account: str = ADA, region: str = REGION, trust: str | None = EXTERNAL_ID) -> Account:
    """An account whose owner has made the role; `trust` None: one that lets everybody in."""
    arn = f"arn:aws:iam::{account}:role/FreepoolPaid"
    moto.trust[arn] = trust
    return Account(provider="sagemaker", region=region, account_id=account, role=arn, external_id=EXTERNAL_ID)
