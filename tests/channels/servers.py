"""A real SMTP server and a real HTTPS receiver, on loopback, for messages to users."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.stack import eventually, free_port

HERE = "127.0.0.1"
USER, PASSWORD = "freepool", "correct horse"


@dataclass
class MailBox:
    """What the server has taken, and what it answers to RCPT and DATA. Empty: it takes everything."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answer: str = ""
    answer_to_data: str = ""

    def to(self, address: str) -> list[EmailMessage]:
        """Mails to an address."""
        return [mail for mail in list(self.mails) if mail["To"] == address]

    def wait_for(self, address: str, count: int = 1) -> EmailMessage:
        """The last of `count` mails to an address."""
        eventually(lambda: len(self.to(address)) >= count, what=f"mail {count} to {address}")
        return self.to(address)[count - 1]

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if self.answer:
            return self.answer
        envelope.rcpt_tos.append(address)
        self.recipients.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.answer_to_data:
            return self.answer_to_data
        self.mails.append(message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default))  # type: ignore[arg-type]
        return "250 OK"


def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    fits = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=fits, handled=False)


@contextmanager
def mail_server(context: ssl.SSLContext | None = None) -> Iterator[MailBox]:
    """An SMTP server; with a context it wants STARTTLS and a login."""
    box = MailBox()
    more: dict[str, Any] = {}
    if context is not None:
        more = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": _authenticate}
    controller = Controller(box, hostname=HERE, port=free_port(), ready_timeout=30, **more)
    controller.start()
    try:
        box.port = controller.server.sockets[0].getsockname()[1]
        yield box
    finally:
        controller.stop()


def channels_by(box: MailBox) -> dict[str, Any]:
    """The section `channels` of the settings for a mail server without encryption, with webhooks."""
    return {
        "mail": {"host": HERE, "port": box.port, "security": "none", "sender": "lab@example.org"},
        "webhooks": True,
        "private_addresses": True,
    }


def link_in(mail: EmailMessage, path: str) -> str:
    """The link to a page of the desk in a mail."""
    found = re.search(rf"https?://\S+/services/desk/{path}\S*", mail.get_content())
    assert found, mail.get_content()
    return found[0]


@contextmanager
def rude_server(*, greets: bool) -> Iterator[int]:
    """A server that closes each connection at once, or, if it `greets`, after its greeting. Yields its port."""
    listener = socket.create_server((HERE, 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if greets:
                connection.sendall(b"220 here\r\n")
                connection.recv(100)
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that accepts connections and says nothing. Yields its port."""
    with socket.create_server((HERE, 0)) as listener:
        yield listener.getsockname()[1]


@dataclass
class Receiver:
    """What a webhook has got, and what it answers."""

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    status: int = 204
    location: str = ""
    answer: bytes = b""


@contextmanager
def webhook_receiver(context: ssl.SSLContext) -> Iterator[Receiver]:
    """An HTTPS server at https://localhost:PORT/hook."""
    receiver = Receiver()

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiver.status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", str(len(receiver.answer)))
            self.end_headers()
            with suppress(OSError):  # the client need not read it all
                self.wfile.write(receiver.answer)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HERE, 0), Receive)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    receiver.url = f"https://localhost:{server.server_address[1]}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
