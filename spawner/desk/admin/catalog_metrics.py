"""The metric that says whether the catalog was refused for its mistakes."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import Connection


def catalog_exposition(connection: Connection, *, now: datetime, is_refused: bool) -> bytes:  # noqa: ARG001
    """The metric in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    Gauge(
        "freepool_catalog_refused",
        "1: the catalog has mistakes, and the last one without mistakes is in use.",
        registry=registry,
    ).set(is_refused)
    return generate_latest(registry)
