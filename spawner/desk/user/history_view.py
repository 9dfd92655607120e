"""A person's runs and grants as the page, its files and the API have them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from spawner.catalog import Catalog
from spawner.desk.allowances import SOURCES, class_title, end_in_short, refund_in_short
from spawner.desk.i18n import Translations
from spawner.ledger.pool.rows import Instance
from spawner.ledger.pool.run_history import Run, RunPage
from spawner.ledger.time.rows import Grant, GrantSource


class RunUse(BaseModel):
    """What a run used of an allowance, in weighted seconds. `held_seconds` are set aside while it is not over.

    `refund_reasons`: why something was given back, in the user's language.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    class_id: str = Field(serialization_alias="class")
    class_title: str
    weight: float
    charged_seconds: int
    refunded_seconds: int
    held_seconds: int
    refund_reasons: list[str]


class HistoryRun(BaseModel):
    """One run of a notebook. `server` is empty for the default server; `user`: the name at that time.

    `usable_at` is null for a start that failed. `ended_at` is when the use ended; files were deleted then or shortly
    after. `use` is null where the machine type has no allowance. `extended_seconds`: by how much its end was moved.
    """

    id: str
    user: str
    server: str
    state: Literal["starting", "running", "stopping", "ended"]
    flavor: str
    flavor_title: str
    image: str
    image_title: str
    requested_at: datetime
    usable_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    reason_text: str | None
    extended_seconds: int
    use: RunUse | None


class HistoryPage(BaseModel):
    """At most 50 runs, newest first. `next` is the cursor of the next page; null on the last one."""

    runs: list[HistoryRun]
    next: str | None


class HistoryGrant(BaseModel):
    """Hours that were given, as weighted seconds: null for unlimited, negative for hours used in advance.

    `run`: id of the run that they are for. `by`: the administrator's name; null where the platform gave them.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    class_id: str = Field(serialization_alias="class")
    class_title: str
    seconds: int | None
    valid_from: datetime
    valid_until: datetime
    source: Literal["policy", "float", "refund", "admin", "grace"]
    source_text: str
    run: str | None
    reason: str
    by: str | None
    at: datetime


class HistoryGrants(BaseModel):
    """The newest 200 grants, newest first."""

    grants: list[HistoryGrant]


def end_of(run: Run) -> datetime | None:
    """When the use of a run ended: as it was charged, else the first sign of its end. None while it is not over."""
    instance = run.instance
    if instance.ended_at is None:
        return None
    if run.charge is not None:
        return run.charge.until
    return min(at for at in (instance.stopping_at, instance.died_at, instance.ended_at) if at is not None)


def run_view(run: Run, catalog: Catalog, texts: Translations) -> HistoryRun:
    """One run in the user's language. A flavor or image that the catalog does not have any more has its id as title."""
    instance = run.instance
    return HistoryRun(
        id=instance.id,
        user=instance.user_name,
        server=instance.server_name,
        state=instance.state.value,
        flavor=instance.flavor,
        flavor_title=_title(instance.flavor, catalog.flavors, texts),
        image=instance.image,
        image_title=_title(instance.image, catalog.images, texts),
        requested_at=instance.requested_at,
        usable_at=instance.usable_at,
        ended_at=end_of(run),
        reason=instance.reason,
        reason_text=_reason(instance, texts),
        extended_seconds=run.extended,
        use=_use(run, catalog, texts),
    )


def page_view(page: RunPage, catalog: Catalog, texts: Translations) -> HistoryPage:
    """A page in the user's language."""
    following = None if page.following is None else str(page.following)
    return HistoryPage(runs=[run_view(run, catalog, texts) for run in page.runs], next=following)


def grant_view(grant: Grant, catalog: Catalog, texts: Translations) -> HistoryGrant:
    """One grant in the user's language. Only administrators give reasons: what they wrote, as it is."""
    is_by_hand = grant.source in (GrantSource.ADMIN, GrantSource.REFUND)
    return HistoryGrant(
        class_id=grant.class_id,
        class_title=class_title(catalog, grant.class_id, texts.language),
        seconds=grant.seconds,
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        source=grant.source.value,
        source_text=texts.say(SOURCES[grant.source]),
        run=grant.reference,
        reason=grant.reason if is_by_hand else "",
        by=grant.made_by if is_by_hand else None,
        at=grant.made_at,
    )


def _use(run: Run, catalog: Catalog, texts: Translations) -> RunUse | None:
    found = run.charge or run.hold
    if found is None:
        return None
    charge = run.charge
    reasons = [refund_in_short(charge.refund_reason, texts)] if charge is not None and charge.refunded else []
    return RunUse(
        class_id=found.class_id,
        class_title=class_title(catalog, found.class_id, texts.language),
        weight=found.weight,
        charged_seconds=0 if charge is None else charge.seconds,
        refunded_seconds=run.refunded,
        held_seconds=0 if charge is not None or run.hold is None else run.hold.seconds,
        refund_reasons=[*reasons, *(grant.reason for grant in run.refunds)],
    )


def _reason(instance: Instance, texts: Translations) -> str | None:
    if instance.reason is None or instance.ended_at is None:
        return None
    return end_in_short(instance.reason, texts)


def _title(item_id: str, offered: tuple, texts: Translations) -> str:  # type: ignore[type-arg]
    found = next((one for one in offered if item_id in (one.id, *getattr(one, "formerly", ()))), None)
    return item_id if found is None else str(found.title.in_language(texts.language))
