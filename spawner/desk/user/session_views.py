"""Models of one running instance's session, as lab, desk and API clients have it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from spawner.desk.announcement.read import AnnouncementView
from spawner.ledger.time.rows import Activity, Answer, NoticeKind

Action = Literal["extend", "still_here", "open_desk"]
ExtensionReason = Literal["no_hours", "others_wait", "used_up", "policy", "maintenance", "not_running"]


class AllowanceView(BaseModel):
    """The user's hours of one class in this week, in weighted seconds.

    `total_seconds` and `left_seconds` are null for unlimited. `weight`: how many one second of this flavor uses.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    class_id: str = Field(serialization_alias="class")
    title: str
    total_seconds: int | None
    used_seconds: int
    held_seconds: int
    left_seconds: int | None
    resets_at: datetime
    weight: float


class AllowancesView(BaseModel):
    """The user's hours of this week. A class that is missing is unlimited."""

    classes: list[AllowanceView]


class ExtensionView(BaseModel):
    """Whether the session can be extended now, and by how much. `left`: how many times more. `number`: of the next
    extension, from 1. `text` is the label of a button, or why it is not possible."""

    possible: bool
    seconds: int
    left: int
    number: int
    reason: ExtensionReason | None
    text: str


class UseView(BaseModel):
    """How the instance is used, and when it is stopped for being idle, if nothing changes."""

    activity: Activity
    since: datetime
    stops_at: datetime | None


class SessionNoticeView(BaseModel):
    """A notice to show. `due_at`: when what it tells of happens. `actions` are the buttons that belong to it."""

    id: str
    kind: NoticeKind
    due_at: datetime
    written_at: datetime
    params: dict[str, Any]
    title: str
    text: str
    actions: list[Action]
    seen_at: datetime | None
    answered_at: datetime | None


class SessionPart(BaseModel):
    """What the user's page shows of the session besides the instance itself. `keeps_files`: if the platform ends the
    notebook, its changed files are kept, as the user has chosen."""

    extension: ExtensionView
    notices: list[SessionNoticeView]
    keeps_files: bool = False


class SessionView(SessionPart):
    """A running instance. `server` is empty for the default server; `ends_at` is its end, by its deadline or by
    maintenance. `now` is the server's clock: compare times with it, not with the browser's.

    `end_url` says, without a cookie, why and when the session has ended. `restart_url`: the page that offers the same
    flavor and image again.
    """

    id: str
    user: str
    server: str
    state: Literal["starting", "running"]
    flavor: str
    image: str
    flavor_title: str
    image_title: str
    usable_at: datetime | None
    ends_at: datetime | None
    now: datetime
    language: str
    allowance: AllowanceView | None
    idle: UseView | None
    desk_url: str
    end_url: str
    restart_url: str
    announcement: AnnouncementView | None = None


class ExtendRequest(BaseModel):
    """`number`: which extension of the session this is, as in the session's `extension`.

    Of two requests with one number the second changes nothing. Without it, requests within ten seconds count as one.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    number: int | None = Field(default=None, ge=1, le=1000)


class SeenRequest(BaseModel):
    """Ids of notices that a page shows now."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seen: list[str] = Field(default=[], max_length=100)
    where: Literal["lab", "desk"] = "desk"


class AnswerRequest(BaseModel):
    """The user's answer to a notice. An extension is asked for with `session/extend`, which answers by itself."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(max_length=32)
    answer: Literal["still_here", "dismissed"]

    @property
    def given(self) -> Answer:
        """As the ledger has it."""
        return Answer(self.answer)
