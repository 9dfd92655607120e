"""What the user reads of an instance or ticket that has ended, and of an instance that is being stopped.

What became of the files is a separate sentence: the reason of the end does not say whether there were files, and
whether some are kept.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from babel.dates import format_timedelta

from spawner.desk.durations import LOCALES, SPACELESS, in_words
from spawner.desk.i18n import Translations
from spawner.desk.user.save_texts import bundle_text
from spawner.desk.user.snapshot import UserSnapshot
from spawner.desk.user.views import EndingView, LastView
from spawner.ledger import EndReason, Instance, Ticket, TicketState
from spawner.ledger.bundles.rows import Bundle, BundleState
from spawner.ledger.pool.end_texts import DELETED, END_TEXTS, NO_FILES, UNSAVED
from spawner.pool.policies import refusal_of
from spawner.pool.progress import FAILURES, TICKET_END_TEXTS, USER_REQUESTED
from spawner.pool.time.refusals import TICKET_ENDED

LIMIT_REACHED = "Your notebook reached its time limit of {limit}."
KEPT = "Its changed files are kept for another {time}, under Kept files."
BEING_SAVED = "Its changed files are being saved."
NO_LONGER_OFFERED = "The machine type or image you were waiting for is no longer available."
CANCELLING, CLEANING_UP = "Cancelling the start…", "Cleaning up after a failed start…"
SAVING, DELETING = "Saving your changed files…", "Deleting your files…"
THEN_DELETED = "After that, all files in this notebook are deleted."
ALL_DELETED = "All files in this notebook are being deleted."
TEXTS = (
    DELETED,
    UNSAVED,
    LIMIT_REACHED,
    KEPT,
    BEING_SAVED,
    NO_LONGER_OFFERED,
    CANCELLING,
    CLEANING_UP,
    SAVING,
    DELETING,
    THEN_DELETED,
    ALL_DELETED,
)


def cause_text(instance: Instance, reason: EndReason, texts: Translations) -> str:
    """Why an instance has ended; at its time limit with that limit."""
    if reason is EndReason.DEADLINE and instance.usable_at is not None and instance.ends_at is not None:
        limit = in_words(instance.ends_at - instance.usable_at, texts.language)
        if limit:
            return texts.say(LIMIT_REACHED, limit=limit)
    return texts.say(END_TEXTS[reason].what)


def files_text(instance: Instance, reason: EndReason, bundle: Bundle | None, texts: Translations, now: datetime) -> str:
    """What became of the files; empty where there were none."""
    fate = END_TEXTS[reason].files
    if instance.usable_at is None or fate == NO_FILES:
        return ""
    if bundle is None or (bundle.state is BundleState.KEPT and bundle.expires_at <= now):
        return texts.say(fate)
    if bundle.state is BundleState.MAKING:
        return texts.say(BEING_SAVED)
    if bundle.state is BundleState.FAILED:
        return texts.together(texts.say(fate), bundle_text(bundle, texts))
    kept = texts.say(KEPT, time=time_left(bundle.expires_at - now, texts.language))
    return texts.together(kept, bundle_text(bundle, texts))


def time_left(left: timedelta, language: str) -> str:
    """Days, or hours below two days."""
    unit: Literal["day", "hour"] = "day" if left >= timedelta(days=2) else "hour"
    at_least = timedelta(hours=1)
    words = format_timedelta(max(left, at_least), granularity=unit, threshold=48, locale=LOCALES[language])
    return SPACELESS.sub("\\1\u00a0", words)


def end_text(
    instance: Instance, reason: EndReason, texts: Translations, *, now: datetime, bundle: Bundle | None = None
) -> str:
    """Why an instance has ended, and what became of its files."""
    return texts.together(cause_text(instance, reason, texts), files_text(instance, reason, bundle, texts, now))


def ending_view(instance: Instance, bundle: Bundle | None, texts: Translations) -> EndingView:
    """What the page says of an instance that is being stopped."""
    reason = instance.reason or EndReason.STOPPED
    cause = "" if reason in USER_REQUESTED else cause_text(instance, reason, texts)
    if instance.usable_at is None:
        return EndingView(title=texts.say(CLEANING_UP if reason in FAILURES else CANCELLING), text=cause)
    is_saving = bundle is not None and bundle.state is BundleState.MAKING
    if END_TEXTS[reason].files != DELETED:
        return EndingView(title=texts.say(DELETING), text=cause)
    files = texts.say(THEN_DELETED if is_saving else ALL_DELETED)
    return EndingView(title=texts.say(SAVING if is_saving else DELETING), text=texts.together(cause, files))


def last_view(snapshot: UserSnapshot, texts: Translations, now: datetime) -> LastView | None:
    """The last end of an instance or ticket, if the user should know of it."""
    instance, ticket = snapshot.last, snapshot.last_ticket
    if ticket is not None and ticket.ended_at and ticket.state in TICKET_END_TEXTS and _is_newer(ticket, instance):
        return _of_ticket(ticket, ticket.ended_at, snapshot, texts)
    if instance is None or instance.reason is None or instance.ended_at is None or instance.reason in USER_REQUESTED:
        return None
    text = end_text(instance, instance.reason, texts, now=now, bundle=snapshot.bundle)
    failed = instance.reason in FAILURES
    return LastView(
        ended_at=instance.ended_at, text=text, failed=failed, details=(instance.detail or "") if failed else ""
    )


def _of_ticket(ticket: Ticket, ended_at: datetime, snapshot: UserSnapshot, texts: Translations) -> LastView:
    denial = snapshot.rights.denial(ticket.flavor, ticket.image) if ticket.state is TicketState.FAILED else None
    if denial is not None:
        refusal = refusal_of(denial)
        return LastView(ended_at=ended_at, text=texts.say(refusal.template, **refusal.params), failed=True, details="")
    if ticket.detail == TICKET_ENDED:
        return LastView(ended_at=ended_at, text=texts.say(TICKET_ENDED), failed=True, details="")
    is_gone = ticket.state is TicketState.FAILED and ticket.called_at is None
    text = texts.say(NO_LONGER_OFFERED if is_gone else TICKET_END_TEXTS[ticket.state])
    return LastView(ended_at=ended_at, text=text, failed=True, details=ticket.detail or "")


def _is_newer(ticket: Ticket, instance: Instance | None) -> bool:
    return (
        instance is None or instance.ended_at is None or ticket.ended_at is None or instance.ended_at < ticket.ended_at
    )
