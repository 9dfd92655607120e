"""Requests and answers of the user's API, beside the state."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from spawner.desk.user.state import TicketView


class StartRequest(BaseModel):
    """Ids from the catalog; what is left out is the default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    flavor: str | None = None
    image: str | None = None
    example: str | None = None


class TicketAnswer(BaseModel):
    """The place in line, or null."""

    ticket: TicketView | None
