"""An image whose notebook server is a few lines: for tests in which many instances come and go, and none is used.

All but the server itself is the real thing: the sandbox, its keeper, the agent that waits for a claim, and the claim.
JupyterLab's imports take a second of processor time for each instance. This one sleeps for a while instead.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from tests.stack import PROJECT, local_settings

PARTS = ("cryptography", "cffi", "_cffi_backend*", "pycparser", "typing_extensions.py")
"""What the agent needs of the hub's environment to open a claim."""

MODULE = "lean_server"
"""Not `sitecustomize`: Debian's Python has one of its own, which comes first."""

SERVER = '''
"""Python runs this before anything else: the agent gets another server in place of JupyterLab."""

import http.server
import runpy
import time

BOOT_SECONDS = 0.4  # no real notebook is there at once, and tests look at what happens meanwhile


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def serve(claim, listener, orders):
    server = http.server.ThreadingHTTPServer(listener.getsockname(), Answer, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    listener.setblocking(True)
    server.serve_forever()


def run(name, *_):
    import spawner.instance.agent as agent

    agent.preload = lambda: time.sleep(BOOT_SECONDS)
    agent.become_server = serve
    agent.main()


runpy._run_module_as_main = run
'''


def make_images(folder: Path) -> Path:
    """A folder of images for the pool of this machine: `lean`, made of the Python that runs the tests, and `light`."""
    python = Path(sys.executable).resolve()
    environment = folder / "lean"
    site = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    site.mkdir(parents=True)
    ours = Path(sysconfig.get_path("purelib"))
    for part in (part for pattern in PARTS for part in ours.glob(pattern)):
        if part.is_dir():
            shutil.copytree(part, site / part.name)
        else:
            shutil.copy(part, site)
    (site / f"{MODULE}.py").write_text(SERVER)
    (site / f"{MODULE}.pth").write_text(f"import {MODULE}\n")
    (environment / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(python)
    (folder / "light").symlink_to(PROJECT / ".images" / "light")
    return folder


def lean_settings(folder: Path) -> Path:
    """A settings file for `freepool up` with these images. The catalog says which of them is used: see `with_lean`."""
    return local_settings(folder / "lean.yaml", images=str(make_images(folder / "images")))


def with_lean(data: dict[str, Any]) -> None:
    """Changes a catalog: its default image is served by the lean environment."""
    image = next(image for image in data["images"] if image["id"] == data["defaults"]["image"])
    image["environment"] = "lean"
