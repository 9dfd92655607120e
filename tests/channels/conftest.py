"""What the tests of messages to users share."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawner.ledger import Ledger, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from tests.browser.tls import make_certificate
from tests.channels.servers import MailBox, Receiver, mail_server, webhook_receiver


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A file that makes a client trust `localhost` here, and the server's context for it."""
    folder = tmp_path_factory.mktemp("tls")
    context = make_certificate(folder, "localhost")
    return folder / "certificate.pem", context


@pytest.fixture(scope="session")
def ca_file(certificate: tuple[Path, ssl.SSLContext]) -> Path:
    return certificate[0]


@pytest.fixture
def box() -> Iterator[MailBox]:
    """A mail server without encryption."""
    with mail_server() as found:
        yield found


@pytest.fixture
def receiver(certificate: tuple[Path, ssl.SSLContext]) -> Iterator[Receiver]:
    """A webhook's receiver at https://localhost."""
    with webhook_receiver(certificate[1]) as found:
        yield found


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy, which is faster than another migration."""
    path = tmp_path_factory.mktemp("ledger") / "migrated.sqlite"
    engine = make_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
def ledger(migrated: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A migrated, empty ledger in SQLite."""
    found = open_ledger(f"sqlite:///{shutil.copy(migrated, tmp_path / 'ledger.sqlite')}")
    yield found
    found.close()
