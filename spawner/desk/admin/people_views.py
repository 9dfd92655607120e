"""Models of the administrator's page and API of users."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from spawner.ledger.people.rows import BanCode, Person, TrustClass
from spawner.ledger.pool.rows import EndReason, Instance, InstanceState


class PersonSummary(BaseModel):
    """One user. `has_account`: JupyterHub has the user, under this name. `identity`: hash of the login's subject."""

    id: str
    name: str
    has_account: bool
    trust: TrustClass
    identity: str | None
    created_at: datetime
    forgotten_at: datetime | None
    banned: bool


class BanView(BaseModel):
    """One ban. `until` is null for one without an end; `holds`: whether it is in force now."""

    id: str
    code: BanCode
    reason: str
    evidence: str
    note: str
    appeal: str
    by: str
    at: datetime
    until: datetime | None
    lifted_by: str | None
    lifted_at: datetime | None
    holds: bool


class RunView(BaseModel):
    """One run of a notebook of the pool. `name`: the user's name at that time."""

    id: str
    name: str
    flavor: str
    image: str
    state: InstanceState
    requested_at: datetime
    usable_at: datetime | None
    ended_at: datetime | None
    reason: EndReason | None


class PaidRunView(BaseModel):
    """A paid instance that is not deleted."""

    id: str
    instance_type: str
    provider: str
    state: str


class PersonView(PersonSummary):
    """All that is shown of one user. `queued`: ids of tickets. `groups`: by their source."""

    groups: dict[str, list[str]]
    bans: list[BanView]
    running: list[RunView]
    recent: list[RunView]
    queued: list[str]
    paid: list[PaidRunView]


class PeopleView(BaseModel):
    """Those who were found, at most 50."""

    people: list[PersonSummary]


class ForgetView(BaseModel):
    """What forgetting does, or has done. `refusals`: why it cannot be done now."""

    texts: list[str]
    refusals: list[str]


class ExportView(BaseModel):
    """All rows of one user, by table; each row is an object by column. Secrets are left out."""

    model_config = ConfigDict(populate_by_name=True)

    version: str = Field(alias="schema")
    freepool: str
    exported_at: datetime
    person: str
    tables: dict[str, list[dict[str, Any]]]


def summary(person: Person) -> dict[str, Any]:
    """The fields of `PersonSummary` that are in the row."""
    return {
        "id": person.id,
        "name": person.hub_name,
        "has_account": person.hub_id is not None,
        "trust": person.trust,
        "identity": person.identity,
        "created_at": person.created_at,
        "forgotten_at": person.forgotten_at,
    }


def run_view(instance: Instance) -> RunView:
    """One run of a notebook of the pool."""
    return RunView(
        id=instance.id,
        name=instance.user_name,
        flavor=instance.flavor,
        image=instance.image,
        state=instance.state,
        requested_at=instance.requested_at,
        usable_at=instance.usable_at,
        ended_at=instance.ended_at,
        reason=instance.reason,
    )
