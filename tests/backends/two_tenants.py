"""Two tenants: two users' instances on one machine, with the platform's state and secrets around them."""

from __future__ import annotations

import secrets
from pathlib import Path

import aiohttp

from spawner.instance.features import RUNTIME
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.backends.local.sandbox import HOME, WORKSPACE
from tests.backends.conformance import spec
from tests.backends.fakehub import FakeHub
from tests.backends.notebook import Notebook

WRITABLE = {"/tmp", "/dev/shm", HOME, WORKSPACE, RUNTIME}
SECRET = f"secret-{secrets.token_hex(8)}"


class TwoTenants:
    """Two users' notebooks on one machine, and the state folder."""

    def __init__(self, state: Path, backend: LocalBackend, session: aiohttp.ClientSession, hub: FakeHub) -> None:
        self.state, self.backend, self.session, self.hub = state, backend, session, hub
        self.specs = {name: spec() for name in ("alice", "bob")}
        self.alice: Notebook
        self.bob: Notebook
