"""The administrators' page of messages: whether mail server and webhooks take them. And their metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from spawner.channels.undelivered import WORDS, details_of, failure_of
from spawner.desk.admin.pages import AdminHandler
from spawner.desk.routes import Route
from spawner.ledger.channels import channels, messages
from spawner.ledger.channels.messages import Delivery
from spawner.ledger.channels.rows import ChannelKind
from spawner.pool.build import utc_now

STATES = ("working", "failing", "unconfirmed")
RECENT = timedelta(hours=24)
TITLES: dict[ChannelKind, str] = {ChannelKind.EMAIL: "E-mail", ChannelKind.WEBHOOK: "Webhooks"}


@dataclass(frozen=True)
class ChannelSnapshot:
    """How messages of the last day fared, and how many channels there are."""

    deliveries: Mapping[ChannelKind, Delivery]
    counts: Mapping[tuple[ChannelKind, str], int]


def read_channels(connection: Connection, *, now: datetime) -> ChannelSnapshot:
    """Read it in one transaction."""
    return ChannelSnapshot(messages.deliveries(connection, since=now - RECENT), channels.count(connection))


class ChannelsPage(AdminHandler):
    """GET /admin/channels"""

    async def get(self) -> None:
        """The page."""
        snapshot, settings = await self.desk.ledger.aread(read_channels, now=utc_now()), self.desk.settings.channels
        is_on = {ChannelKind.EMAIL: settings.mail is not None, ChannelKind.WEBHOOK: settings.webhooks}
        self.finish(
            self.render_page(
                "admin/channels.html",
                state={"user": {"name": self.user_name, "admin": self.is_admin}},
                rows=[self._row(kind, snapshot, is_on=is_on[kind]) for kind in ChannelKind],
                server=f"{settings.mail.host}:{settings.mail.actual_port}" if settings.mail else "",
                when=self.time_text,
            )
        )

    def _row(self, kind: ChannelKind, snapshot: ChannelSnapshot, *, is_on: bool) -> dict[str, object]:
        delivery = snapshot.deliveries[kind]
        failure = failure_of(delivery.late_detail)
        return {
            "kind": kind.value,
            "title": self.say(TITLES[kind]),
            "is_on": is_on,
            "delivery": delivery,
            "problem": self.say(WORDS[failure]) if failure is not None else "",
            "details": details_of(delivery.late_detail),
            "channels": {state: snapshot.counts.get((kind, state), 0) for state in STATES},
        }


def channel_exposition(connection: Connection, *, now: datetime) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ChannelCollector(read_channels(connection, now=now), now))
    return generate_latest(registry)


class ChannelCollector(Collector):
    """One snapshot as metrics."""

    def __init__(self, snapshot: ChannelSnapshot, now: datetime) -> None:
        self.snapshot, self.now = snapshot, now

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        users = GaugeMetricFamily("freepool_channels", "Addresses of users, by state.", labels=["kind", "state"])
        found = GaugeMetricFamily(
            "freepool_channel_messages",
            "Messages to users: waiting, late (a try has failed), and those of a day that were sent or given up.",
            labels=["kind", "state"],
        )
        late = GaugeMetricFamily(
            "freepool_channel_late_seconds",
            "Age of the oldest message of which a try has failed; 0: there is none.",
            labels=["kind"],
        )
        for kind, delivery in self.snapshot.deliveries.items():
            for state in STATES:
                users.add_metric([kind.value, state], self.snapshot.counts.get((kind, state), 0))
            for state in ("waiting", "late", "sent", "failed"):
                found.add_metric([kind.value, state], getattr(delivery, state))
            age = (self.now - delivery.late_since).total_seconds() if delivery.late_since else 0.0
            late.add_metric([kind.value], age)
        yield from (users, found, late)


ROUTES: tuple[Route, ...] = (Route("admin/channels", ChannelsPage),)
