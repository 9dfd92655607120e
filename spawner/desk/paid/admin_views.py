"""What operators see of the paid path: the shapes."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from spawner.desk.paid.views import InstanceTypeView


class CloudView(BaseModel):
    """A cloud that is on. `linkable`: whether people can link accounts of it here."""

    id: str
    title: str
    regions: list[str]
    linkable: bool


class AdminRunView(InstanceTypeView):
    """One instance in somebody's cloud. Nobody but they can open it."""

    id: str
    user: str
    account_ending: str
    provider: str
    region: str
    state: str
    state_text: str
    created_at: datetime
    stops_at: datetime | None
    alarms: list[str]


class PaidAdminView(BaseModel):
    """The paid path for operators. `paused`: who has stopped new ones, and when. Counts are by state."""

    clouds: list[CloudView]
    paused: dict[str, str] | None
    steward: bool
    instances: list[AdminRunView]
    bindings: dict[str, int]
    consents: dict[str, int]
    orders: dict[str, int]
