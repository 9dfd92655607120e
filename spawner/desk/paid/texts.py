"""Texts of paid instances: states, reasons of an end, notices."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

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

HOUR = 3600

STATES: Mapping[str, str] = {
    "asked": "In progress",
    "starting": "Starting",
    "checking": "Checking whether it was created",
    "running": "Running",
    "found": "Found running",
    "stopping": "Stopping",
    "stopped": "Stopped",
    "deleting": "Deleting",
    "gone": "Deleted",
    "not_made": "Not created",
    "failed": "Failed",
}
WHY: Mapping[StopReason, str] = {
    StopReason.ASKED: "Stopped by you.",
    StopReason.HUB: "Stopped through JupyterHub: by you, by an administrator, or by a rule.",
    StopReason.CANCELLED: "Start cancelled.",
    StopReason.CAP: "Your spending limit was reached.",
    StopReason.TIME: "Your time limit was reached.",
    StopReason.OUTSIDE: "Stopped in the cloud: idle for too long, or stopped in the cloud console.",
    StopReason.UNPROTECTED: "The auto-stop timer could not be set, so the notebook was stopped.",
    StopReason.LIST_BLIND: (
        "Freepool cannot see the notebooks it creates in your cloud account, so this one was stopped."
    ),
    StopReason.TOO_LATE: "The notebook could not be created in time. The request was cancelled.",
    StopReason.NOT_STARTED: "Your cloud account did not start the notebook.",
    StopReason.REFUSED: "Your cloud account refused the request, so nothing was created.",
    StopReason.PRICE: "The price changed after you approved it, so nothing was created.",
    StopReason.BLOCKED: "No new notebooks can be created in this cloud account right now.",
    StopReason.UNLINKED: "The account was unlinked.",
}
WHILE_IT_ENDS: Mapping[StopReason, str] = {StopReason.ASKED: "At your request."}
"""Reasons that read otherwise while an instance still stops, or is deleted."""
NOTICES: Mapping[NoticeKind, str] = {
    NoticeKind.RUNNING: "Your {instance_type} is running. Charges have started.",
    NoticeKind.MOST_SPENT: (
        "Your {instance_type} has used most of its spending limit: about {currency} {spent} of {currency} {cap}."
    ),
    NoticeKind.STOPPED: "Your {instance_type} has stopped.",
    NoticeKind.STOP_FAILED: (
        "Your {instance_type} could not be stopped yet and may still incur charges. We keep trying; you "
        "can also stop it in the cloud console."
    ),
    NoticeKind.DELETE_FAILED: (
        "Your {instance_type} could not be deleted yet. We keep trying; you can also delete it in the cloud console."
    ),
    NoticeKind.DELETED: "Your {instance_type} is deleted. There are no further charges.",
    NoticeKind.NOT_MADE: "Your {instance_type} was not started. You were not charged.",
    NoticeKind.PRICE_CHANGED: "Your {instance_type} was not started. You were not charged.",
    NoticeKind.AUTH_LOST: (
        "Freepool can no longer reach your cloud account {account}. Notebooks there run until their "
        "timers stop them. You can stop them in the cloud console."
    ),
    NoticeKind.LIST_BLIND: (
        "Freepool cannot see the notebooks it creates in your cloud account {account}, so no new ones are created."
    ),
    NoticeKind.RECOVERED: (
        "Your {instance_type} is running but was not started here. We are setting an auto-stop timer; "
        "stop it if you do not need it."
    ),
    NoticeKind.FAILED: "Your {instance_type} failed in the cloud. Delete it to avoid charges.",
    NoticeKind.STRANGE_STATE: (
        "Your {instance_type} is in an unknown state: {raw}. It may incur charges; check the cloud console."
    ),
    NoticeKind.WIPED_SOON: (
        "Your {instance_type} has been stopped for a long time. After 15 days the cloud erases its disk."
    ),
    NoticeKind.LEFT: (
        "You unlinked the account; your {instance_type} is still in it. Its disk may be charged. Delete "
        "it in the cloud console if you no longer need it."
    ),
}
CLOUD_STATES: Mapping[str, str] = {
    "Creating": "Creating",
    "Pending": "Creating",
    "Queuing": "In the cloud's queue",
    "ResourceAllocating": "Allocating resources",
    "EnvPreparing": "Preparing the environment",
    "Starting": "Starting",
    "Running": "Running",
    "InService": "Running",
    "Updating": "Updating",
    "Saving": "Saving",
    "Saved": "Saved",
    "SaveFailed": "Saving failed",
    "Recovering": "Recovering",
    "Stopping": "Stopping",
    "Stopped": "Stopped",
    "Deleting": "Deleting",
    "Failed": "Failed",
}
"""The statuses of DSW and SageMaker. A status that is not here is shown as the cloud names it."""
AMOUNTS = ("spent", "cap")
GOOD_NEWS = (NoticeKind.RUNNING, NoticeKind.STOPPED, NoticeKind.DELETED)
BLOCKS: Mapping[Block, str] = {
    Block.AUTH_LOST: "Freepool can no longer access this account: its role was deleted or changed.",
    Block.LIST_BLIND: "Freepool cannot see the notebooks it creates in this account, so no new ones are created.",
    Block.CHECK: "The last role check found a problem, so no new notebooks are created.",
}
OUT_OF_REACH = "This cloud or region has been turned off here. Manage your notebook in the cloud console."
BINDING_STATES: Mapping[BindingState, str] = {
    BindingState.PROVEN: "Unfinished",
    BindingState.ACTIVE: "Linked",
    BindingState.BLOCKED: "Blocked",
    BindingState.UNLINKED: "Unlinked",
}
CONSENT_STATES: Mapping[ConsentState, str] = {
    ConsentState.OFFERED: "Pending",
    ConsentState.ACCEPTED: "Approved, not started",
    ConsentState.SPENT: "Approved and started",
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


def reason_text(order: Order, state: str, texts: Translations) -> str | None:
    """Why a run ends or has ended; None where there is no reason."""
    if order.reason is None:
        return None
    is_ending = state in ("stopping", "deleting")
    return texts.say(WHILE_IT_ENDS.get(order.reason, WHY[order.reason]) if is_ending else WHY[order.reason])


def cloud_state(raw: str, texts: Translations) -> str:
    """A cloud's own status in the user's language."""
    return texts.say(CLOUD_STATES[raw]) if raw in CLOUD_STATES else raw


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
        parts.append(texts.say("Cost: about {currency} {spent} (limit: {currency} {cap}).", **params))
    return texts.together(*parts)
