"""Models of the user's state, as the API and the page's scripts have it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from spawner.desk.paid.views import PaidView
from spawner.desk.user.allowance_view import FlavorAllowanceView, LastUseView
from spawner.desk.user.class_view import ClassView
from spawner.desk.user.save_views import KeepSummary
from spawner.desk.user.session_views import SessionPart
from spawner.desk.views import UserView


class MaintenanceView(BaseModel):
    """No new instances start. Those that run are ended `at` that time, if any. `reason` is the administrator's text."""

    at: datetime | None
    reason: str


class PoolView(BaseModel):
    """The pool as a whole. `notice` is a warning for all users."""

    isolated: bool
    notice: str | None
    maintenance: MaintenanceView | None


class AcceleratorView(BaseModel):
    """GPUs of one flavor; `memory_bytes` is of each."""

    name: str
    count: int
    memory_bytes: int


class FlavorView(BaseModel):
    """A flavor. `available`: how many more instances can start now; `warm`: how many of them on warm slots.

    `in_line`: number of queued tickets; `queue`: whether another one is accepted; `wait_seconds`: its wait estimate as
    a range, null where there is none. `for_you`: whether the catalog's policies give it to the user; where not,
    `reason` says for whom it is. `session_seconds`: the user's own longest session. `allowance`: the user's weekly
    hours; null where the flavor has none. `remedy`: how this installation could give it; null unless it never can.
    """

    id: str
    title: str
    summary: str
    cpu: float
    memory_bytes: int
    disk_bytes: int
    accelerator: AcceleratorView | None
    session_seconds: int
    available: int
    warm: int
    in_line: int
    queue: bool
    wait_seconds: tuple[int, int] | None
    reason: str | None
    remedy: str | None = None
    for_you: bool = True
    allowance: FlavorAllowanceView | None = None


class ImageView(BaseModel):
    """`reason` says why the image is not available, `remedy` how this installation could give it; null unless it never
    can. `for_you`: whether the catalog's policies give it to the user."""

    id: str
    title: str
    summary: str
    available: bool
    reason: str | None
    remedy: str | None = None
    for_you: bool = True


class NeedsView(BaseModel):
    """What an example needs. `disk_bytes`: of files that it makes, and of downloads. `accelerator_memory_bytes`: null
    where it needs no GPU."""

    memory_bytes: int
    disk_bytes: int
    accelerator_memory_bytes: int | None


class DownloadView(BaseModel):
    """Models that an example downloads because they are not in the cache. `seconds`: how long that took others; null
    where nobody knows."""

    models: list[str]
    bytes: int
    seconds: int | None


class ExampleView(BaseModel):
    """`path` is relative to the instance's workspace. `for_you`: whether the catalog's policies give the user its
    image, and a flavor with enough memory. `fits`: ids of the flavors that have what it needs. `remedy`: its image's.
    """

    id: str
    title: str
    summary: str
    path: str
    image: str
    seconds: int
    icon: str
    available: bool
    reason: str | None
    needs: NeedsView
    fits: list[str]
    download: DownloadView | None
    remedy: str | None = None
    for_you: bool = True


class DefaultsView(BaseModel):
    """The options of a start without options."""

    flavor: str
    image: str


class ProgressView(BaseModel):
    """One step of a start."""

    at: datetime
    percent: int
    text: str


class EndingView(BaseModel):
    """What is being done with an instance that stops, and why."""

    title: str
    text: str


class InstanceView(BaseModel):
    """The user's current instance. `begun_at`: the request by its user, from which the time of its start counts; of
    one that was queued, the end of its wait. `ends_at` is its deadline. `problem` says why it cannot be opened.

    `files_url`: the download of all its files; null where the image has none.
    `session`: its notices, and whether it can be extended; null unless it runs. `ending`: null unless it stops.
    """

    id: str
    state: Literal["starting", "running", "stopping"]
    flavor: str
    image: str
    example: str | None
    requested_at: datetime
    begun_at: datetime
    usable_at: datetime | None
    ends_at: datetime | None
    url: str
    open_url: str
    problem: str | None
    progress: list[ProgressView]
    files_url: str | None = None
    session: SessionPart | None = None
    ending: EndingView | None = None


class TicketView(BaseModel):
    """The user's ticket. `place` in the queue is from 1, `wait_seconds` is a range; both are null once it is called.

    `reason` says what delays it besides the queue, such as a cluster without a node for it. `held`: it was called
    while another instance of the user runs, and its slot is held until `hold_until`.
    """

    id: str
    state: Literal["waiting", "called"]
    flavor: str
    image: str
    example: str | None
    joined_at: datetime
    place: int | None
    wait_seconds: tuple[int, int] | None
    reason: str | None
    held: bool
    hold_until: datetime | None


class LastView(BaseModel):
    """How the last instance or ticket ended, if the user should know. `details` is output of another program.

    `use`: what the instance used of weekly hours; null where it used none.
    """

    ended_at: datetime
    text: str
    failed: bool
    details: str
    use: LastUseView | None = None


class State(BaseModel):
    """The whole state. `now` is the server's clock; `paid` is null where no paid instances are offered.

    `standing` is the user's class; null where classes make no difference. `keep` is null where no files are kept.
    """

    user: UserView
    pool: PoolView
    flavors: list[FlavorView]
    images: list[ImageView]
    examples: list[ExampleView]
    defaults: DefaultsView
    instance: InstanceView | None
    ticket: TicketView | None
    last: LastView | None
    paid: PaidView | None
    standing: ClassView | None
    keep: KeepSummary | None = None
    now: datetime
