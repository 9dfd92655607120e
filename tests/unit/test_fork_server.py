"""Which programs may be forked from the fork server."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from spawner.local.fork_server import ForkServer
from spawner.settings import SETTINGS_VARIABLE

FORKS = """
import asyncio, os, signal, sys, tempfile
from spawner.local import fork_server

def main(arguments):
    print(arguments, tempfile.gettempdir(), os.environ)

async def run():
    forked = await server.start("desk", ["spawner.cli", "desk"], {"TMPDIR": sys.argv[1]}, 1)
    print("ended", await forked.wait())
    try:
        await server.start("desk", ["spawner.cli", "desk"], {"PATH": "x" * fork_server.LARGEST}, 1)
    except OSError:
        print("too large")
    os.kill(server.pid, signal.SIGSTOP)
    server.close()

tempfile.gettempdir()  # as an import does that asks for it
fork_server.MODULES = ()
server = fork_server.ForkServer.fork(main)
asyncio.run(run())
"""
"""A supervisor whose programs say what they got."""


def test_a_forked_program_has_its_own_variables_and_its_own_folder_for_temporary_files(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    expected = f"['desk'] {tmp_path} environ({{'TMPDIR': '{tmp_path}'}})\nended 0\ntoo large\n"
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr


def test_a_program_is_forked_only_where_imports_saw_the_same_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/ours.pem")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    ours, its = socket.socketpair()
    with ours, its:
        fork_server = ForkServer(0, ours)
        assert fork_server.fits({"SSL_CERT_FILE": "/etc/ssl/ours.pem", SETTINGS_VARIABLE: "/settings.json"})
        assert fork_server.fits({})
        assert not fork_server.fits({"SSL_CERT_FILE": "/etc/ssl/other.pem"})
        assert not fork_server.fits({"PGSSLMODE": "verify-full"}), "settings add it, and no import saw it"
        assert not fork_server.fits({"PYTHONPATH": "/somewhere"}), "no program gets it unless the settings say so"
