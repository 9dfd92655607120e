"""A catalog, rows and statuses with defaults for all fields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from spawner.catalog import Catalog, Flavor, Image, Text
from spawner.ledger import EndReason, Instance, InstanceState, Slot, SlotState, Ticket, TicketState
from spawner.pool.backends.base import Phase, SlotSpec, SlotStatus, Unavailable

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GIB = 1024**3
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Settings of properties, without deadlines, because the machine may be busy."""
TEXT = Text(en="a text", zh="文字")


def flavor(name: str = "small", **changes: Any) -> Flavor:
    values = {"id": name, "title": TEXT, "summary": TEXT, "cpu": 1, "memory": GIB, "disk": GIB, "limit": 10}
    return Flavor.model_validate(values | changes)


def image(name: str = "cpu") -> Image:
    return Image(id=name, title=TEXT, summary=TEXT, environment=name)


def catalog(
    *flavors: Flavor,
    images: tuple[Image, ...] = (),
    queue: dict[str, Any] | None = None,
    policies: list[dict[str, Any]] | None = None,
    allowances: dict[str, Any] | None = None,
    **limits: Any,
) -> Catalog:
    flavors = flavors or (flavor(),)
    images = images or (image("cpu"), image("torch"))
    return Catalog.model_validate(
        {
            "flavors": flavors,
            "images": images,
            "defaults": {"flavor": flavors[0].id, "image": images[0].id},
            "limits": limits,
            "queue": queue or {},
            "policies": policies or [],
            "allowances": allowances or {},
            "examples": [
                {
                    "id": "ocr",
                    "image": images[-1].id,
                    "path": "ocr/ocr.ipynb",
                    "title": TEXT,
                    "summary": TEXT,
                    "needs": {"memory": 1, "seconds": 1},
                }
            ],
        }
    )


def slot(name: str, state: SlotState = SlotState.WARM, **changes: Any) -> Slot:
    values: dict[str, Any] = {
        "id": name,
        "flavor": "small",
        "image": "cpu",
        "state": state,
        "holder_id": None,
        "created_at": NOW - timedelta(minutes=5),
        "warm_at": None,
        "claimed_at": None,
        "ended_at": None,
        "reason": None,
        "detail": None,
    }
    return Slot(**values | changes)


def instance(name: str, state: InstanceState = InstanceState.RUNNING, **changes: Any) -> Instance:
    values: dict[str, Any] = {
        "id": name,
        "person_id": changes.get("user_name", "ann"),
        "user_name": "ann",
        "server_name": "",
        "flavor": "small",
        "image": "cpu",
        "example": None,
        "state": state,
        "hub_epoch": "1",
        "slot_id": None,
        "url": None,
        "requested_at": NOW - timedelta(minutes=5),
        "usable_at": None,
        "ends_at": None,
        "stopping_at": None,
        "ended_at": None,
        "reason": None,
        "detail": None,
    }
    return Instance(**values | changes)


def ticket(name: str, state: TicketState = TicketState.WAITING, **changes: Any) -> Ticket:
    """By default the user is named like the ticket, and joined at its rank."""
    joined_at = changes.get("joined_at", changes.get("rank_at", NOW - timedelta(minutes=5)))
    values: dict[str, Any] = {
        "id": name,
        "person_id": changes.get("user_name", name),
        "user_name": name,
        "server_name": "",
        "flavor": "small",
        "image": "cpu",
        "example": None,
        "state": state,
        "joined_at": joined_at,
        "rank_at": joined_at,
        "called_at": None,
        "hold_until": None,
        "instance_id": None,
        "served_at": None,
        "collected_at": None,
        "told_at": None,
        "ended_at": None,
        "expected_low": None,
        "expected_high": None,
        "tries": 0,
        "ends_by": None,
        "detail": None,
    }
    return Ticket(**values | changes)


def status(name: str, phase: Phase = Phase.READY, reason: EndReason | None = None, detail: str = "") -> SlotStatus:
    return SlotStatus(id=name, phase=phase, url="http://127.0.0.1:1", reason=reason, detail=detail, assigned=True)


@dataclass
class SimulatedBackend:
    """The part of a backend that counting uses: `why_not` and `memory`."""

    bytes: int | None = None
    refused: tuple[str, ...] = ()

    @property
    def supports_user_namespaces(self) -> bool:
        return False

    def memory(self) -> int | None:
        return self.bytes

    def version(self, template: SlotSpec) -> str:
        return f"{template.image.id} {int(template.flavor.memory)}"

    def why_not(self, flavor: Flavor, image: Image | None = None) -> Unavailable | None:
        return Unavailable.NO_GPU if flavor.id in self.refused else None


def times(*, seconds: int = 3600) -> st.SearchStrategy[datetime]:
    """Times within so many seconds of `NOW`."""
    return st.integers(-seconds, seconds).map(lambda offset: NOW + timedelta(seconds=offset))
