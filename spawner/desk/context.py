"""What every handler of the desk is given. What only one of its parts needs is in that part's own `context.py`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

from jinja2 import Environment
from sqlalchemy import Connection

from spawner.aio import TaskSet
from spawner.catalog import Catalog
from spawner.desk.changes import ChangeNotifier
from spawner.desk.i18n import Translations
from spawner.hub_client import HubClient
from spawner.ledger import Ledger
from spawner.pool.backends.base import Backend
from spawner.pool.day_reader import DayReader
from spawner.settings import Settings
from spawner.terms.documents import Documents, documents_of

log = logging.getLogger("freepool.desk")


class Exposition(Protocol):
    """Reads some metrics from the ledger. Returns them in Prometheus' text format."""

    def __call__(self, connection: Connection, *, now: datetime) -> bytes:
        """Read them in the transaction of `connection`."""


@dataclass
class Desk:
    """One per process. `texts` are by language (a BCP 47 tag); `base` is the URL prefix, with both slashes."""

    settings: Settings
    catalog: Catalog
    backend: Backend
    ledger: Ledger
    hub: HubClient
    changes: ChangeNotifier
    texts: dict[str, Translations]
    templates: Environment
    base: str
    days: DayReader
    expositions: list[Exposition] = field(default_factory=list)
    """What `/metrics` serves, in this order."""
    metrics_token: str | None = None
    """A token that reads the metrics, and nothing else, without asking the hub."""
    starts: TaskSet = field(default_factory=lambda: TaskSet(_log_failed_start))
    """Requests to the hub that outlive the request to the desk."""
    accepted: set[str] = field(default_factory=set)
    """Ids of people who are known to have accepted the present terms."""

    @cached_property
    def documents(self) -> Documents:
        """The texts of terms and privacy."""
        return documents_of(self.settings, self.catalog)


def _log_failed_start(subject: str, error: BaseException) -> None:
    log.info("%s failed: %s", subject, error)
