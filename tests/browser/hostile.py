"""An image whose notebook server belongs to an attacker: it answers anybody with the attacker's pages.

A user can put any server in the place of Jupyter's: the process is theirs. All but the server is the real thing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import lean
from tests.stack import local_settings

SERVER = lean.SERVER.replace(
    "    def do_GET(self):\n",
    """    def do_GET(self):
        import urllib.parse

        url = urllib.parse.urlsplit(self.path)
        name, query = url.path.rpartition("/")[2], urllib.parse.parse_qsl(url.query)
        if name in ("page.html", "worker.js"):
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if name == "page.html" else "text/javascript")
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Service-Worker-Allowed", "/")
            for key, value in query:
                self.send_header(key, value)
            body = b"<h1>notebook</h1>" if name == "page.html" else WORKER
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
""",
).replace(
    "BOOT_SECONDS = 0.4",
    '''WORKER = b"""
addEventListener("install", () => skipWaiting());
addEventListener("activate", event => event.waitUntil(clients.claim()));
addEventListener("fetch", event => event.request.mode === "navigate" && event.respondWith(
  new Response("<h1>rewritten</h1>", { headers: { "Content-Type": "text/html" } })));
"""
BOOT_SECONDS = 0.1''',
)
assert "page.html" in SERVER
assert "WORKER" in SERVER


def hostile_settings(folder: Path, **changes: Any) -> Path:
    """A settings file for `freepool up` with this image."""
    images = lean.make_images(folder / "images")
    for file in (images / "lean").rglob(f"{lean.MODULE}.py"):
        file.write_text(SERVER)
    return local_settings(folder / "hostile.yaml", images=str(images), **changes)


READ_DESK = """async url => {
  const desk = window.open(url);
  if (!desk) return "no window";
  for (let tries = 0; tries < 100; tries++) {
    if (desk.closed) return "closed";
    try {
      const page = desk.document;
      const found = page.querySelector("[name=_xsrf]") || page.querySelector("[data-xsrf]");
      if (found && page.readyState === "complete") {
        const buttons = [...page.querySelectorAll("button")];
        const start = buttons.find(one => one.textContent.trim().startsWith("Approve and start"));
        if (start) { start.click(); await new Promise(done => setTimeout(done, 1500)); }
        return "read: " + (found.value || found.dataset.xsrf);
      }
    } catch (error) { return error.name; }
    await new Promise(done => setTimeout(done, 50));
  }
  return "nothing to read: " + desk.document.body.innerText.slice(0, 200);
}"""
"""What an attacker's page does: opens a page of the desk, reads its XSRF token, and clicks its button."""

TAKE_OVER = """async worker => {
  try {
    await navigator.serviceWorker.register(worker, { scope: "/" });
    await navigator.serviceWorker.ready;
    return "registered";
  } catch (error) { return error.name; }
}"""
"""Registers a service worker for the whole origin."""
