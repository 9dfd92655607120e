"""What the desk shows: one model of everything, built from the catalog and the ledger at one moment.

The same model is the page's first content, each live update, and the API's answer; its fields are the API's contract.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel
from sqlalchemy import Connection

from spawner.catalog import Catalog, Flavor
from spawner.desk.texts import Texts
from spawner.ledger import Event, Instance, InstanceState, Slot, instances, slots
from spawner.pool.backends.base import Backend
from spawner.pool.progress import ENDINGS, EXPECTED, FAILURES, PROGRESS
from spawner.pool.stock import stock_of

NO_ROOM_MEMORY = timedelta(minutes=1)
"""How long "no machine has room for it" is believed without another try."""
UNSAFE = "This pool isolates nobody: it was started with --unsafe-no-sandbox. Do not lend it to strangers."
ALL_LENT = "Everything of this shape is lent out just now."
NOT_OFFERED = "This shape is not offered just now."
IMAGE_MISSING = "Needs the image {image}, which is not installed here."


class UserView(BaseModel):
    """Who asks."""

    name: str
    admin: bool


class PoolView(BaseModel):
    """The pool as a whole. `notice` is a warning that everybody should see."""

    isolated: bool
    notice: str | None


class AcceleratorView(BaseModel):
    """GPUs of one flavor; `memory_bytes` is of each."""

    name: str
    count: int
    memory_bytes: int


class FlavorView(BaseModel):
    """A shape and its stock. `available`: how many more people can have it now; `warm`: without waiting."""

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
    reason: str | None


class ImageView(BaseModel):
    """An image; `reason` says why it is not available."""

    id: str
    title: str
    summary: str
    available: bool
    reason: str | None


class ExampleView(BaseModel):
    """An example; `path` is relative to the instance's workspace."""

    id: str
    title: str
    summary: str
    path: str
    image: str
    seconds: int
    icon: str
    available: bool
    reason: str | None


class DefaultsView(BaseModel):
    """What a start without options gives."""

    flavor: str
    image: str


class ProgressView(BaseModel):
    """One line of a start."""

    at: datetime
    percent: int
    text: str


class InstanceView(BaseModel):
    """The loan that the user has now. `ends_at` is its deadline."""

    id: str
    state: Literal["starting", "running", "stopping"]
    flavor: str
    image: str
    example: str | None
    requested_at: datetime
    usable_at: datetime | None
    ends_at: datetime | None
    url: str
    open_url: str
    progress: list[ProgressView]


class LastView(BaseModel):
    """How the loan before ended, where that needs words. `details` are a program's own; may be empty."""

    ended_at: datetime
    text: str
    failed: bool
    details: str


class State(BaseModel):
    """Everything on the desk. `now` is the server's clock."""

    user: UserView
    pool: PoolView
    flavors: list[FlavorView]
    images: list[ImageView]
    examples: list[ExampleView]
    defaults: DefaultsView
    instance: InstanceView | None
    last: LastView | None
    now: datetime


class Moment(BaseModel):
    """What was read from the ledger in one transaction."""

    model_config = {"arbitrary_types_allowed": True}

    slots: list[Slot]
    without_room: set[str]
    current: Instance | None
    progress: list[Event]
    last: Instance | None


def read_moment(connection: Connection, user_name: str, *, now: datetime) -> Moment:
    """Read what concerns one user, and the pool's slots."""
    mine = [loan for loan in instances.unended(connection, user_name) if loan.server_name == ""]
    current = mine[-1] if mine else None
    return Moment(
        slots=slots.occupying(connection),
        without_room=slots.without_room(connection, since=now - NO_ROOM_MEMORY),
        current=current,
        progress=instances.events_of(connection, current.id) if current else [],
        last=None if current else instances.last_ended(connection, user_name),
    )


def build_state(
    moment: Moment,
    *,
    user_name: str,
    admin: bool,
    catalog: Catalog,
    backend: Backend,
    texts: Texts,
    base: str,
    now: datetime,
) -> State:
    """Say it all in the reader's language. `base` is the desk's URL prefix, `/services/desk/`."""
    images = [_image(image, catalog, backend, texts) for image in catalog.images]
    missing = {image.id: image for image in images if not image.available}
    return State(
        user=UserView(name=user_name, admin=admin),
        pool=PoolView(isolated=backend.isolated, notice=None if backend.isolated else texts.say(UNSAFE)),
        flavors=[_flavor(flavor, catalog, backend, moment, texts) for flavor in catalog.flavors],
        images=images,
        examples=[
            ExampleView(
                id=example.id,
                title=example.title.in_language(texts.language),
                summary=example.summary.in_language(texts.language),
                path=f"examples/{example.path}",
                image=example.image,
                seconds=example.needs.seconds,
                icon=f"{base}icons/{quote(example.id)}.svg",
                available=example.image not in missing,
                reason=texts.say(IMAGE_MISSING, image=missing[example.image].title)
                if example.image in missing
                else None,
            )
            for example in catalog.examples
        ],
        defaults=DefaultsView(flavor=catalog.defaults.flavor, image=catalog.defaults.image),
        instance=_instance(moment, texts) if moment.current else None,
        last=_last(moment.last, texts),
        now=now,
    )


def _flavor(flavor: Flavor, catalog: Catalog, backend: Backend, moment: Moment, texts: Texts) -> FlavorView:
    stock = stock_of(catalog, backend, flavor, moment.slots, without_room=moment.without_room)
    reason = None
    if stock.why_not is not None:
        reason = stock.why_not[1] if texts.language.startswith("zh") else stock.why_not[0]
    elif stock.available == 0:
        reason = texts.say(NOT_OFFERED if flavor.limit == 0 else ALL_LENT)
    accelerator = flavor.accelerator
    return FlavorView(
        id=flavor.id,
        title=flavor.title.in_language(texts.language),
        summary=flavor.summary.in_language(texts.language),
        cpu=flavor.cpu,
        memory_bytes=int(flavor.memory),
        disk_bytes=int(flavor.disk),
        accelerator=AcceleratorView(
            name=accelerator.name, count=accelerator.count, memory_bytes=int(accelerator.memory)
        )
        if accelerator
        else None,
        session_seconds=flavor.session_minutes * 60,
        available=stock.available,
        warm=stock.warm,
        reason=reason,
    )


def _image(image: object, catalog: Catalog, backend: Backend, texts: Texts) -> ImageView:
    known = catalog.image(image.id)  # type: ignore[attr-defined]
    why_not = backend.why_not(catalog.flavor(catalog.defaults.flavor), known)
    return ImageView(
        id=known.id,
        title=known.title.in_language(texts.language),
        summary=known.summary.in_language(texts.language),
        available=why_not is None,
        reason=None if why_not is None else why_not[1 if texts.language.startswith("zh") else 0],
    )


def _instance(moment: Moment, texts: Texts) -> InstanceView:
    loan = moment.current
    assert loan is not None
    assert loan.state is not InstanceState.ENDED
    url = f"/user/{quote(loan.user_name, safe='@~')}/"
    return InstanceView(
        id=loan.id,
        state=loan.state.value,
        flavor=loan.flavor,
        image=loan.image,
        example=loan.example,
        requested_at=loan.requested_at,
        usable_at=loan.usable_at,
        ends_at=loan.ends_at,
        url=url,
        open_url=f"{url}lab",
        progress=[
            ProgressView(at=event.at, percent=PROGRESS[event.step][0], text=texts.say(PROGRESS[event.step][1]))
            for event in moment.progress
        ],
    )


def _last(loan: Instance | None, texts: Texts) -> LastView | None:
    if loan is None or loan.reason is None or loan.ended_at is None or loan.reason in EXPECTED:
        return None
    text = texts.say(ENDINGS[loan.reason])
    failed = loan.reason in FAILURES
    return LastView(ended_at=loan.ended_at, text=text, failed=failed, details=(loan.detail or "") if failed else "")
