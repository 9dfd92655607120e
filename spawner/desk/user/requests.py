"""Requests and responses of the user's API, except the state."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from spawner.desk.user.views import TicketView


class StartRequest(BaseModel):
    """Ids from the catalog; null or a missing one means the default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    flavor: str | None = None
    image: str | None = None
    example: str | None = None


class TicketAnswer(BaseModel):
    """The user's ticket, or null."""

    ticket: TicketView | None
