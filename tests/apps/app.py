"""An app as people write them: it listens on loopback, knows no proxy, and uses absolute paths. Runs in an instance.

The page tries all by itself, when it is told to: a websocket, an upload of 50 MB, server-sent events, and a redirect to
an absolute address.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler

PAGE = """<!doctype html><title>An app</title><link rel="icon" href="data:,"><h1>An app</h1>
<button>Try</button><p id="tried" role="status"></p>
<script>
const say = (text) => { document.querySelector("#tried").textContent += text + "; "; };
const socket = () => new Promise((done) => {
  const line = new WebSocket(location.origin.replace("http", "ws") + "/socket");
  line.onopen = () => line.send("hello");
  line.onmessage = ({ data }) => done(data);
});
const events = () => new Promise((done) => {
  const heard = [];
  const source = new EventSource("/events");
  source.onmessage = ({ data }) => {
    heard.push(data);
    if (heard.length < 3) return;
    source.close();
    done(heard.join(" "));
  };
});
document.querySelector("button").onclick = async () => {
  say("socket " + await socket());
  say("events " + await events());
  const sent = await fetch("/upload", { method: "POST", body: new Blob([new Uint8Array(50 * 1024 * 1024)]) });
  say("upload " + await sent.text());
  const moved = await fetch("/moved");
  say("moved to " + new URL(moved.url).pathname);
};
</script>"""


class Page(RequestHandler):
    """GET /"""

    def get(self) -> None:
        self.set_header("Set-Cookie", "mine=1; Path=/; Domain=localhost")
        self.add_header("Set-Cookie", "freepool-app=stolen; Path=/")
        self.finish(PAGE)


class Seen(RequestHandler):
    """GET /seen: what reached the app."""

    def get(self) -> None:
        self.finish(json.dumps({"uri": self.request.uri, "headers": dict(self.request.headers.get_all())}))

    post = get


class Socket(WebSocketHandler):
    """Sends back what it gets, to pages of any origin; its own address where it is asked for that."""

    def check_origin(self, origin: str) -> bool:
        return True

    def on_message(self, message: Any) -> None:
        self.write_message(self.request.uri or "" if message == "address" else message)


class Events(RequestHandler):
    """Three events, each sent at once; the last two when somebody has asked for /go."""

    go = asyncio.Event()

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        for number in range(3):
            if number and self.get_query_argument("wait", ""):
                await self.go.wait()
            self.write(f"data: {number}\n\n")
            await self.flush()


class Go(RequestHandler):
    """GET /go"""

    def get(self) -> None:
        Events.go.set()


@stream_request_body
class Upload(RequestHandler):
    """POST /upload: answers its length."""

    length = 0

    def prepare(self) -> None:
        self.request.connection.set_max_body_size(1 << 30)  # type: ignore[union-attr]

    def data_received(self, chunk: bytes) -> None:
        self.length += len(chunk)

    def post(self) -> None:
        self.finish(str(self.length))


class Moved(RequestHandler):
    """GET /moved: a redirect to a whole address, made of what the browser asked for."""

    def get(self) -> None:
        self.redirect(f"{self.request.protocol}://{self.request.host}/seen")


async def main(port: int) -> None:
    """Serve on loopback."""
    routes = [("/", Page), ("/seen", Seen), ("/socket", Socket), ("/events", Events), ("/go", Go)]
    application = Application([*routes, ("/upload", Upload), ("/moved", Moved)])
    HTTPServer(application, xheaders=True).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
