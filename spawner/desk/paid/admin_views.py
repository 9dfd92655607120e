"""Models of the administrator's API of paid instances."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from spawner.desk.paid.views import InstanceTypeView


class CloudView(BaseModel):
    """A cloud of the settings. `linkable`: whether users can link accounts of it."""

    id: str
    title: str
    regions: list[str]
    linkable: bool


class AdminRunView(InstanceTypeView):
    """One user's instance. Administrators cannot open it."""

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
    """All paid instances. `paused`: who has paused the creation of new ones, and when. Counts are by state."""

    clouds: list[CloudView]
    paused: dict[str, str] | None
    steward: bool
    instances: list[AdminRunView]
    bindings: dict[str, int]
    consents: dict[str, int]
    orders: dict[str, int]
