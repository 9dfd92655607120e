"""Texts of paid instances: states, reasons of an end, notices; and formats of numbers and times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from babel.dates import format_date, format_time
from babel.numbers import format_decimal
from babel.units import format_unit

from spawner.desk.i18n import Translations
from spawner.ledger.paid.rows import (
    RUNS,
    UNSETTLED,
    BindingState,
    Block,
    ConsentState,
    Notice,
    NoticeKind,
    Order,
    OrderState,
    StopReason,
)
from spawner.paid.providers.base import RemoteState

GIB = 1024**3
SPACELESS = re.compile(r"(\d)(?=[\u4e00-\u9fff])")
"""Babel's formats have no space between a digit and a Chinese unit; the texts of the pages have one."""
HOUR = 3600

STATES: Mapping[str, str] = {
    "asked": "On its way",
    "starting": "Starting",
    "checking": "Looking whether it was made",
    "running": "Running",
    "found": "Found running",
    "stopping": "Stopping",
    "stopped": "Stopped",
    "deleting": "Being deleted",
    "gone": "Deleted",
    "not_made": "Not made",
    "failed": "Failed",
}
WHY: Mapping[StopReason, str] = {
    StopReason.ASKED: "You stopped it.",
    StopReason.HUB: "It was stopped through JupyterHub: by you there, by an administrator, or by a rule.",
    StopReason.CANCELLED: "The start was cancelled.",
    StopReason.CAP: "It reached the limit that you set.",
    StopReason.TIME: "The time that you set was over.",
    StopReason.OUTSIDE: "It was stopped in the cloud: after a time without use, or in the cloud's console.",
    StopReason.UNPROTECTED: "Its timer could not be set in the cloud, so it was stopped.",
    StopReason.LIST_BLIND: "Your cloud does not show us what we make there, so it was stopped.",
    StopReason.TOO_LATE: "It could not be made in time, so it is not made any more.",
    StopReason.NOT_STARTED: "Your cloud did not start it.",
    StopReason.REFUSED: "Your cloud refused it, so nothing was made.",
    StopReason.PRICE: "The price has changed since you agreed, so nothing was made.",
    StopReason.BLOCKED: "Nothing new can be made in this cloud account just now.",
    StopReason.UNLINKED: "The account was unlinked.",
}
NOTICES: Mapping[NoticeKind, str] = {
    NoticeKind.RUNNING: "Your {instance_type} runs. From now on it costs money.",
    NoticeKind.MOST_SPENT: "Your {instance_type} has used most of its limit: about {currency} {spent} of {cap}.",
    NoticeKind.STOPPED: "Your {instance_type} has stopped.",
    NoticeKind.STOP_FAILED: "Your {instance_type} could not be stopped yet and may go on costing money. We try again "
    "and again; you can also stop it in the cloud's console.",
    NoticeKind.DELETE_FAILED: "Your {instance_type} could not be deleted yet. We try again and again; you can also "
    "delete it in the cloud's console.",
    NoticeKind.DELETED: "Your {instance_type} is deleted. Nothing of it costs money any more.",
    NoticeKind.NOT_MADE: "Your {instance_type} was not started, and costs nothing.",
    NoticeKind.PRICE_CHANGED: "Your {instance_type} was not started, and costs nothing.",
    NoticeKind.AUTH_LOST: "Freepool cannot reach your cloud account {account} any more. What runs there goes on until "
    "its timer. You can stop it in the cloud's console.",
    NoticeKind.LIST_BLIND: "Your cloud account {account} does not show us what we make there, so nothing new is made.",
    NoticeKind.RECOVERED: "Your {instance_type} runs, and you did not start it here. It gets a timer; stop it if you "
    "do not need it.",
    NoticeKind.FAILED: "Your {instance_type} has failed in the cloud. Delete it, so that it cannot cost anything.",
    NoticeKind.STRANGE_STATE: "Your {instance_type} is in a state that we do not know: {raw}. It may cost money; look "
    "in the cloud's console.",
    NoticeKind.WIPED_SOON: "Your {instance_type} has been stopped for long. After 15 days the cloud wipes its disk.",
    NoticeKind.LEFT: "You have unlinked the account, and your {instance_type} stays in it. Its disk may cost money. "
    "Look in the cloud's console, and delete it there if you do not need it.",
}
AMOUNTS = ("spent", "cap")
GOOD_NEWS = (NoticeKind.RUNNING, NoticeKind.STOPPED, NoticeKind.DELETED)
BLOCKS: Mapping[Block, str] = {
    Block.AUTH_LOST: "Freepool cannot get into this account any more: its role is gone, or does not let us in.",
    Block.LIST_BLIND: "This account does not show us what we make there, so nothing new is made.",
    Block.CHECK: "The last check of its role found something to mend, so nothing new is made.",
}
OUT_OF_REACH = "This cloud, or this region of it, is switched off here. Look after it in the cloud's own console."
BINDING_STATES: Mapping[BindingState, str] = {
    BindingState.PROVEN: "Not finished",
    BindingState.ACTIVE: "Linked",
    BindingState.BLOCKED: "Blocked",
    BindingState.UNLINKED: "Unlinked",
}
CONSENT_STATES: Mapping[ConsentState, str] = {
    ConsentState.OFFERED: "Not answered",
    ConsentState.ACCEPTED: "Agreed, not started yet",
    ConsentState.SPENT: "Agreed and started",
    ConsentState.EXPIRED: "Expired",
    ConsentState.WITHDRAWN: "Withdrawn",
}


def display_state(order: Order) -> str:
    """One of `STATES`."""
    if order.state in (OrderState.STOPPING, OrderState.DELETING, OrderState.STOPPED, OrderState.GONE):
        is_deleted_next = order.state is OrderState.STOPPED and order.delete_wanted_at is not None
        return "deleting" if is_deleted_next else order.state.value
    if order.state is OrderState.REJECTED:
        return "not_made"
    if order.is_unwanted:
        return "stopping" if order.delete_wanted_at is None else "deleting"
    if order.remote_state == RemoteState.FAILED:
        return "failed"
    if order.state is OrderState.INTENDED:
        return "starting"
    if order.state in UNSETTLED:
        return "checking" if order.state is OrderState.UNKNOWN else "starting"
    if order.state is OrderState.RECOVERED:
        return "found"
    return "running" if order.state in RUNS and order.remote_state == RemoteState.RUNNING else "starting"


def notice_text(notice: Notice, texts: Translations) -> str:
    """A notice as a paragraph: the event and its reason."""
    params = {name: f"{Decimal(value):.2f}" if name in AMOUNTS else value for name, value in notice.params.items()}
    parts = [texts.say(NOTICES[notice.kind], **params)]
    if "why" in params and notice.kind in (NoticeKind.NOT_MADE, NoticeKind.PRICE_CHANGED):
        reason_params = {name.removeprefix("why_"): value for name, value in params.items() if name.startswith("why_")}
        parts.append(texts.say(params["why"], **reason_params))
    elif params.get("reason") in set(StopReason) and notice.kind in (NoticeKind.STOPPED, NoticeKind.NOT_MADE):
        parts.append(texts.say(WHY[StopReason(params["reason"])]))
    if notice.kind is NoticeKind.STOPPED and "spent" in params:
        parts.append(texts.say("It cost about {currency} {spent}, of {cap} at most.", **params))
    return texts.together(*parts)


@dataclass(frozen=True)
class Formats:
    """Formats of numbers and times in one language. `locale` is Babel's name of it."""

    locale: str

    def time(self, at: datetime) -> str:
        """Date and time in UTC. The page's script replaces it by the browser's time zone."""
        in_utc = at.astimezone(UTC)
        day = format_date(in_utc, "medium", locale=self.locale)
        return f"{day} {format_time(in_utc, 'short', locale=self.locale)} UTC"

    def day(self, at: datetime) -> str:
        """The date in UTC."""
        return format_date(at.astimezone(UTC).date(), "medium", locale=self.locale)

    def size(self, size: int) -> str:
        """`size` is in bytes."""
        return f"{format_decimal(size / GIB, '#,##0.#', locale=self.locale)} GiB"

    def span(self, seconds: float) -> str:
        """Hours and minutes, rounded down."""
        minutes = max(0, int(seconds)) // 60
        parts = ((minutes // 60, "duration-hour"), (minutes % 60, "duration-minute"))
        units = [format_unit(n, unit, "short", locale=self.locale) for n, unit in parts if n]
        text = " ".join(units) or format_unit(0, "duration-minute", "short", locale=self.locale)
        return SPACELESS.sub("\\1\u00a0", text)


FORMATS: Mapping[str, Formats] = {"en": Formats("en"), "zh-CN": Formats("zh_Hans_CN")}
