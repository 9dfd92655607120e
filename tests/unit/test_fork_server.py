"""Which programs may be forked from the fork server."""

from __future__ import annotations

import socket

import pytest

from spawner.local.fork_server import ForkServer
from spawner.settings import SETTINGS_VARIABLE


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
