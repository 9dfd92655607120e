"""Reads one instance's session in one transaction, and describes it in the user's language."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.desk.announcement.read import view_of
from spawner.desk.durations import in_words
from spawner.desk.i18n import Translations
from spawner.desk.problems import with_titles
from spawner.desk.user.cpu_offer import saves_hours
from spawner.desk.user.save_texts import file_size
from spawner.desk.user.session_texts import EXTEND, GRACE_DEBITED, KEPT_TEXTS, NEXT_SECONDS, NOTICE_TEXTS
from spawner.desk.user.session_views import (
    Action,
    AllowanceView,
    ExtensionReason,
    ExtensionView,
    SessionNoticeView,
    SessionPart,
    SessionView,
    UseView,
)
from spawner.errors import BadOption
from spawner.ledger import Instance, InstanceState
from spawner.ledger.pool import admin_settings
from spawner.ledger.time import notices, use
from spawner.ledger.time.rows import InstanceUse, NoticeKind, SessionNotice
from spawner.pool.admin.announcement import Announcement, announcement_of
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.keeping import keeps_files
from spawner.pool.time.extensions import Extensible, Extensions
from spawner.pool.time.metering import AllowanceState
from spawner.pool.time.notices import current

ACTIONS: Mapping[NoticeKind, tuple[Action, ...]] = {
    NoticeKind.DEADLINE: ("extend", "open_desk"),
    NoticeKind.IDLE: ("still_here", "open_desk"),
    NoticeKind.CPU_OFFER: ("open_desk",),
}


@dataclass(frozen=True)
class SessionRows:
    """The rows of one live instance. `ends_at`: its deadline, or maintenance, if that comes first.

    `keeps_files`: an end by the platform keeps its changed files.
    """

    instance: Instance
    ends_at: datetime | None
    notices: list[SessionNotice]
    extensible: Extensible
    use: InstanceUse | None
    allowance: AllowanceState | None
    announcement: Announcement | None = None
    keeps_files: bool = False


@dataclass(frozen=True)
class Links:
    """URLs for the instance's page: the desk; why the instance has ended; the desk with the same choices."""

    desk: str
    end: str
    restart: str


def read_session(connection: Connection, rules: Extensions, instance: Instance, language: str) -> SessionRows:
    """The session of an instance."""
    now, settings = rules.now(), admin_settings.all_of(connection)
    drain = AdminSettings(settings).drain
    closes_at = drain.at if drain is not None else None
    ends_at = min((at for at in (instance.ends_at, closes_at) if at is not None), default=None)
    is_running = instance.state is InstanceState.RUNNING
    allowance = rules.metering.state_for(connection, instance.person_id, instance.flavor, now, language)
    shown = current(notices.of_instance(connection, instance.id), end=ends_at, now=now) if is_running else []
    if any(one.kind is NoticeKind.CPU_OFFER for one in shown) and not saves_hours(
        connection, rules, instance, allowance, now
    ):
        shown = [one for one in shown if one.kind is not NoticeKind.CPU_OFFER]
    return SessionRows(
        instance=instance,
        ends_at=ends_at if is_running else instance.ends_at,
        notices=shown,
        extensible=rules.look(connection, instance),
        use=use.of_instance(connection, instance.id) if is_running else None,
        allowance=allowance,
        announcement=announcement_of(settings),
        keeps_files=keeps_files(connection, rules.catalog, instance),
    )


def describe_part(rows: SessionRows, catalog: Catalog, texts: Translations, now: datetime) -> SessionPart:
    """What the user's page shows besides the instance."""
    extension = _extension(rows.extensible, catalog, texts)
    kept = file_size(int(catalog.keep.limit)) if rows.keeps_files else None
    return SessionPart(
        extension=extension,
        notices=[_notice(one, texts, now, can_extend=extension.possible, kept=kept) for one in rows.notices],
        keeps_files=rows.keeps_files,
    )


def describe_session(
    rows: SessionRows, catalog: Catalog, texts: Translations, now: datetime, links: Links
) -> SessionView:
    """The whole session."""
    instance = rows.instance
    assert instance.state in (InstanceState.STARTING, InstanceState.RUNNING)
    return SessionView(
        **dict(describe_part(rows, catalog, texts, now)),
        id=instance.id,
        user=instance.user_name,
        server=instance.server_name,
        state="running" if instance.state is InstanceState.RUNNING else "starting",
        flavor=instance.flavor,
        image=instance.image,
        flavor_title=_title(catalog.flavor, instance.flavor, texts),
        image_title=_title(catalog.image, instance.image, texts),
        usable_at=instance.usable_at,
        ends_at=rows.ends_at,
        now=now,
        language=texts.language,
        allowance=None if rows.allowance is None else allowance_view(rows.allowance),
        idle=None if rows.use is None else _use(rows.use),
        desk_url=links.desk,
        end_url=links.end,
        restart_url=links.restart,
        announcement=view_of(rows.announcement, texts.language, now),
    )


def _use(row: InstanceUse) -> UseView:
    return UseView(activity=row.activity, since=row.since, stops_at=row.stops_at)


def allowance_view(state: AllowanceState) -> AllowanceView:
    """The hours of one class."""
    return AllowanceView(
        class_id=state.class_id,
        title=state.title,
        total_seconds=state.total,
        used_seconds=state.used,
        held_seconds=state.held,
        left_seconds=state.left,
        resets_at=state.resets_at,
        weight=state.weight,
    )


def _title(find: Any, known_id: str, texts: Translations) -> str:
    """The title of a flavor or image; its id where the catalog does not have it any more."""
    try:
        return str(find(known_id).title.in_language(texts.language))
    except BadOption:
        return known_id


def _extension(found: Extensible, catalog: Catalog, texts: Translations) -> ExtensionView:
    refusal = found.refusal
    if refusal is None:
        text = texts.say(EXTEND, time=in_words(timedelta(seconds=found.seconds), texts.language))
    else:
        text = texts.say(refusal.template, **with_titles(refusal, catalog, texts.language))
    return ExtensionView(
        possible=refusal is None,
        seconds=found.seconds,
        left=found.left,
        number=found.number,
        reason=next((reason for reason in get_args(ExtensionReason) if refusal and refusal.code == reason), None),
        text=text,
    )


def _notice(
    one: SessionNotice, texts: Translations, now: datetime, *, can_extend: bool, kept: str | None
) -> SessionNoticeView:
    """`kept`: the most that is kept of the files; None where they are deleted."""
    title, text = NOTICE_TEXTS[one.kind]
    time = _time_until(one.due_at, now, texts)
    values = {"time": time}
    if kept is not None and one.kind in KEPT_TEXTS:
        text, values = KEPT_TEXTS[one.kind], values | {"size": kept}
    # An administrator's text is no template, and is in the language in which it was written.
    sentences = [str(one.params.get("text", "")) if one.kind is NoticeKind.MESSAGE else texts.say(text, **values)]
    if one.kind is NoticeKind.GRACE and one.params.get("debited"):
        sentences.append(texts.say(GRACE_DEBITED))
    return SessionNoticeView(
        id=one.id,
        kind=one.kind,
        due_at=one.due_at,
        written_at=one.written_at,
        params=one.params,
        title=texts.say(title, time=time),
        text=texts.together(*sentences),
        actions=[action for action in ACTIONS.get(one.kind, ()) if can_extend or action != "extend"],
        seen_at=one.seen_at,
        answered_at=one.answered_at,
    )


def _time_until(due_at: datetime, now: datetime, texts: Translations) -> str:
    minutes = math.ceil((due_at - now) / timedelta(minutes=1))
    return in_words(timedelta(minutes=minutes), texts.language) if minutes > 0 else texts.say(NEXT_SECONDS)
