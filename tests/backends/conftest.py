"""Fixtures of local pools, with fakes of an image and a hub."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.backends.local.means import find_means
from spawner.pool.backends.local.network import Means, Network
from tests.backends.conformance import destroy, ready
from tests.backends.fakehub import fake_hub
from tests.backends.notebook import Notebook, claim
from tests.backends.two_tenants import SECRET, TwoTenants
from tests.models.made import make_store
from tests.stack import PROJECT

IMAGES = PROJECT / ".images"
EXAMPLES = PROJECT / "images" / "examples"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="session")
def images() -> Iterator[Path]:
    """Images of this machine: the real one, one without an interpreter, and one that says a word and ends."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-images-"))
    (folder / "light").symlink_to(IMAGES / "light")
    (folder / "empty").mkdir()
    program(folder / "broken", "echo 'these are my last words' >&2; exit 7")
    program(folder / "chatty", "for ((n = 0; n < 200; n++)); do printf '%65536s' x; done; echo; echo the end; exit 1")
    # Says that it is warm on the descriptor that its orders name, and then waits.
    program(
        folder / "quick",
        'read -r orders <&"$3"; report=${orders##*\'"report": \'}; echo warm >&"${report%%[,\\}]*}"; exec sleep 600',
    )
    program(folder / "hungry", "printf -v held '%300000000s' x; sleep 600")
    yield folder
    shutil.rmtree(folder)


def program(environment: Path, text: str) -> None:
    """An image whose interpreter is a small script; its arguments are those of the agent."""
    (environment / "bin").mkdir(parents=True)
    python = environment / "bin" / "python"
    python.write_text(f"#!/bin/bash\n{text}\n")
    python.chmod(0o755)


@pytest.fixture
def slots_folder() -> Iterator[Path]:
    """The slots folder of one test."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    yield folder / "slots"
    shutil.rmtree(folder)


@cache
def means() -> Means:
    """What this machine has."""
    return find_means(internet=True)[0]


def local_backend(folder: Path, images: Path, *ports: int, models: Path | None = None) -> LocalBackend:
    """`ports` of this machine are forwarded into slots. `models`: a model cache."""
    network = Network(means=means(), ports=ports)
    return LocalBackend(
        folder=folder, images=images, examples=EXAMPLES, models=models, memory=4 * 1024**3, network=network
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tenants(images: Path) -> AsyncIterator[TwoTenants]:
    """Alice and Bob have an instance each. The state folder contains all of the platform's secrets."""
    state = Path(tempfile.mkdtemp(prefix="freepool-", dir="/var/tmp"))  # not below a folder mounted in instances
    state.chmod(0o755)  # more open than in production: only the sandbox protects it
    for name in ("secrets/slots", "ledger.sqlite", "settings.json", "readable"):
        path = state / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SECRET)
        path.chmod(0o644)
    async with aiohttp.ClientSession() as session, fake_hub() as hub:
        models = make_store(state / "models").folder
        backend = local_backend(state / "slots", images, hub.port, models=models)
        made = TwoTenants(state, backend, session, hub)
        try:
            await asyncio.gather(*(backend.create(one) for one in made.specs.values()))
            made.alice, made.bob = [
                await claim(session, hub, one, await ready(backend, one.id), name) for name, one in made.specs.items()
            ]
            await asyncio.gather(made.alice.open_kernel(), made.bob.open_kernel())
            yield made
        finally:
            await asyncio.gather(*(destroy(backend, one.id) for one in made.specs.values()))
            shutil.rmtree(state)


@pytest.fixture
def alice(tenants: TwoTenants) -> Notebook:
    return tenants.alice
