"""Builds the user's state from a snapshot.

The page's first content, each live update and the API's answer are the same model.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeVar

from spawner.catalog import Catalog, Denial, Flavor, Rights
from spawner.desk.i18n import Translations
from spawner.desk.paid.views import PaidView
from spawner.desk.user.allowance_view import NONE, AllowanceSnapshot, closed, flavor_view, last_use
from spawner.desk.user.class_view import ClassView
from spawner.desk.user.ends import ending_view, last_view
from spawner.desk.user.example_view import NONE as NO_MODELS
from spawner.desk.user.example_view import MissingModels, example_view
from spawner.desk.user.instance_client import files_url, user_path
from spawner.desk.user.remedies import REMEDIES
from spawner.desk.user.snapshot import PoolSnapshot, UserSnapshot
from spawner.desk.user.views import (
    AcceleratorView,
    DefaultsView,
    ExampleView,
    FlavorView,
    ImageView,
    InstanceView,
    LastView,
    MaintenanceView,
    PoolView,
    ProgressView,
    State,
    TicketView,
)
from spawner.desk.views import UserView
from spawner.ledger import InstanceState, Ticket
from spawner.people_settings import ClassLimits
from spawner.pool.admin.settings import Drain
from spawner.pool.backends.base import Backend, Weakness
from spawner.pool.capacity import capacity_of
from spawner.pool.keeping import has_agent
from spawner.pool.policies import shown_groups
from spawner.pool.progress import STEP_TEXTS
from spawner.pool.queue.responses import UNAVAILABLE_TEXTS
from spawner.pool.queue.wait_estimate import WaitEstimate

SHARED_ORIGIN = (
    "Notebooks share this page's address. Only open notebooks of people you trust. Paid notebooks, "
    "administration, and tokens are turned off."
)
UNSAFE = "No isolation: this platform was started with --unsafe-no-sandbox. Do not offer it to people you do not trust."
SHARED_NETWORK = (
    "Notebooks share this server's network and can reach each other's ports. Do not offer them to "
    "people you do not trust."
)
NO_INTERNET = "Notebooks have no internet access: pip install and downloads do not work."
WEAKNESSES = {
    Weakness.NO_ISOLATION: UNSAFE,
    Weakness.SHARED_NETWORK: SHARED_NETWORK,
    Weakness.NO_INTERNET: NO_INTERNET,
}
ALL_IN_USE = "All notebooks of this type are in use."
PAUSED = "Paused by the administrator."
MAINTENANCE = "The platform is under maintenance."
NOT_OFFERED = "This machine type is not available right now."
NO_MACHINE_NOW = "No server has capacity for it right now. We keep trying."
RENAMED = (
    "This notebook was started under your previous name {name} and can no longer be opened. Restart "
    "it to get a new notebook, or stop it; otherwise it ends at its time limit."
)
FOR_GROUP = "Only for the group {groups}."
FOR_GROUPS = "Only for the groups {groups}."
IMAGE_FOR_GROUP = "Its image is only for the group {groups}."
IMAGE_FOR_GROUPS = "Its image is only for the groups {groups}."
FLAVORS_FOR_GROUP = "The machine types that it needs are only for the group {groups}."
FLAVORS_FOR_GROUPS = "The machine types that it needs are only for the groups {groups}."
IMAGE_MISSING = "Needs the image {image}, which is not installed here."


Offered = TypeVar("Offered", ImageView, ExampleView)


def build_state(
    snapshot: UserSnapshot,
    *,
    user_name: str,
    admin: bool,
    catalog: Catalog,
    backend: Backend,
    texts: Translations,
    base: str,
    now: datetime,
    paid: PaidView | None = None,
    guards_pages: bool = True,
    standing: ClassView | None = None,
    limits: ClassLimits | None = None,
    hours: AllowanceSnapshot = NONE,
    missing: MissingModels = NO_MODELS,
) -> State:
    """Build the state in the user's language. `base` is the desk's URL prefix, `/services/desk/`.

    `guards_pages`: whether no notebook can act on the desk's pages. `limits` are those of the user's class. `missing`:
    models that are not in the cache.
    """
    notices = [WEAKNESSES[backend.weakness]] if backend.weakness else []
    notices += [] if guards_pages else [SHARED_ORIGIN]
    offer = offer_of(snapshot.pool, catalog, backend, texts, base, missing)
    return State(
        user=UserView(name=user_name, admin=admin),
        pool=PoolView(
            isolated=backend.isolated,
            notice=texts.together(*map(texts.say, notices)) if notices else None,
            maintenance=_maintenance(snapshot.pool.controls.drain),
        ),
        **_with_hours(_own_offer(offer, snapshot, catalog, texts, limits), snapshot.rights, hours, texts),
        defaults=DefaultsView(flavor=catalog.defaults.flavor, image=catalog.defaults.image),
        instance=_instance(snapshot, catalog, texts, user_name) if snapshot.current else None,
        ticket=_ticket(snapshot, texts),
        last=_with_use(last_view(snapshot, texts, now), hours, catalog, texts),
        paid=paid,
        standing=standing,
        now=now,
    )


def offer_of(
    pool: PoolSnapshot,
    catalog: Catalog,
    backend: Backend,
    texts: Translations,
    base: str,
    missing: MissingModels = NO_MODELS,
) -> dict[str, Any]:
    """Flavors, images and examples: what is the same for all users of one language, so it is made once."""
    key = f"{texts.language} {missing.key}"
    if key not in pool.views:
        pool.views[key] = _offer(pool, catalog, backend, texts, base, missing)
    return pool.views[key]


def _offer(
    pool: PoolSnapshot, catalog: Catalog, backend: Backend, texts: Translations, base: str, missing: MissingModels
) -> dict[str, Any]:
    """Flavors, images and examples."""
    images = [_image(image, catalog, backend, texts) for image in catalog.images]
    lacking = {image.id: image for image in images if not image.available}
    return {
        "flavors": [_flavor(flavor, catalog, backend, pool, texts) for flavor in catalog.flavors],
        "images": images,
        "examples": [
            example_view(
                example,
                catalog,
                texts,
                base,
                reason=texts.say(IMAGE_MISSING, image=lacking[example.image].title)
                if example.image in lacking
                else None,
                remedy=lacking[example.image].remedy if example.image in lacking else None,
                missing=missing,
            )
            for example in catalog.examples
        ],
    }


def _flavor(flavor: Flavor, catalog: Catalog, backend: Backend, pool: PoolSnapshot, texts: Translations) -> FlavorView:
    capacity = capacity_of(catalog, backend, flavor, pool.slots, without_room=pool.without_room)
    queued = pool.queued(flavor.id)
    is_closed = pool.controls.drain is not None or pool.controls.is_paused(flavor.id)
    available = capacity.available if flavor.id in pool.free_now else 0
    reason = None
    if capacity.why_not is not None:
        reason = texts.say(UNAVAILABLE_TEXTS[capacity.why_not])
    elif is_closed:
        reason = texts.say(PAUSED if pool.controls.drain is None else MAINTENANCE)
    elif available == 0:
        reason = texts.say(NOT_OFFERED if flavor.limit == 0 else ALL_IN_USE)
    can_queue = not is_closed and capacity.why_not is None and flavor.limit > 0 and queued < catalog.queue.longest
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
        available=available,
        warm=0 if available == 0 else capacity.warm,
        in_line=queued,
        queue=can_queue,
        wait_seconds=_seconds(pool.wait(flavor.id, queued + 1)) if can_queue and available == 0 else None,
        reason=reason,
        remedy=None if capacity.why_not is None else texts.say(REMEDIES[capacity.why_not]),
    )


def _own_offer(
    offer: dict[str, Any], snapshot: UserSnapshot, catalog: Catalog, texts: Translations, limits: ClassLimits | None
) -> dict[str, Any]:
    """What is offered to this user."""
    rights = snapshot.rights
    counted = [_counting_own(flavor, snapshot) for flavor in offer["flavors"]]
    if not catalog.policies:
        return offer | {"flavors": [_within(flavor, limits) for flavor in counted]}
    return {
        "flavors": [_within(_flavor_for(flavor, rights, texts), limits) for flavor in counted],
        "images": [_refused(image, rights.image(image.id), FOR_GROUP, FOR_GROUPS, texts) for image in offer["images"]],
        "examples": [_example_for(example, rights, texts) for example in offer["examples"]],
    }


def _flavor_for(flavor: FlavorView, rights: Rights, texts: Translations) -> FlavorView:
    minutes = rights.session_minutes(rights.catalog.flavor(flavor.id))
    flavor = flavor.model_copy(update={"session_seconds": minutes * 60})
    denial = rights.flavor(flavor.id)
    if denial is None:
        return flavor
    closed = {"available": 0, "warm": 0, "queue": False, "wait_seconds": None}
    reason = _for_groups(denial, FOR_GROUP, FOR_GROUPS, texts)
    return flavor.model_copy(update={**closed, "reason": reason, "for_you": False})


def _example_for(example: ExampleView, rights: Rights, texts: Translations) -> ExampleView:
    denial = rights.example(rights.catalog.example(example.id))
    is_image = denial is not None and denial.kind == "image"
    one, more = (IMAGE_FOR_GROUP, IMAGE_FOR_GROUPS) if is_image else (FLAVORS_FOR_GROUP, FLAVORS_FOR_GROUPS)
    return _refused(example, denial, one, more, texts)


def _refused(view: Offered, denial: Denial | None, one: str, more: str, texts: Translations) -> Offered:
    if denial is None:
        return view
    reason = _for_groups(denial, one, more, texts)
    return view.model_copy(update={"available": False, "reason": reason, "for_you": False})


def _for_groups(denial: Denial, one: str, more: str, texts: Translations) -> str:
    return texts.say(one if len(denial.groups) == 1 else more, groups=shown_groups(denial.groups, texts.comma))


def _counting_own(flavor: FlavorView, snapshot: UserSnapshot) -> FlavorView:
    """Count the user's own ticket, which may be newer than the shared part of the snapshot."""
    if snapshot.ticket is None or snapshot.ticket.flavor != flavor.id or snapshot.place is None:
        return flavor
    return flavor.model_copy(update={"in_line": max(flavor.in_line, snapshot.place)})


def _within(flavor: FlavorView, limits: ClassLimits | None) -> FlavorView:
    """With the session that the user's class may have, where that is shorter."""
    if limits is None or limits.session_minutes is None or limits.session_minutes * 60 >= flavor.session_seconds:
        return flavor
    return flavor.model_copy(update={"session_seconds": limits.session_minutes * 60})


def _with_hours(offer: dict[str, Any], rights: Rights, hours: AllowanceSnapshot, texts: Translations) -> dict[str, Any]:
    """With what is left of the user's weekly hours. Of those for which none are left, nothing can be started."""
    flavors = []
    for flavor in offer["flavors"]:
        session = timedelta(seconds=flavor.session_seconds)
        known, offered = rights.catalog.flavor(flavor.id), flavor.available > 0 or flavor.queue
        view = flavor_view(known, hours, rights, session, texts.language, offered=offered)
        if view is not None:
            changes = closed(view, texts) if view.blocks else {}
            flavor = flavor.model_copy(update={"allowance": view, **changes})  # noqa: PLW2901
        flavors.append(flavor)
    return offer | {"flavors": flavors}


def _with_use(
    last: LastView | None, hours: AllowanceSnapshot, catalog: Catalog, texts: Translations
) -> LastView | None:
    if last is None or hours.last is None or hours.last.instance.ended_at != last.ended_at:
        return last
    return last.model_copy(update={"use": last_use(hours.last, catalog, texts)})


def _maintenance(drain: Drain | None) -> MaintenanceView | None:
    return None if drain is None else MaintenanceView(at=drain.at, reason=drain.reason)


def _image(image: object, catalog: Catalog, backend: Backend, texts: Translations) -> ImageView:
    known = catalog.image(image.id)  # type: ignore[attr-defined]
    why_not = backend.why_not(catalog.flavor(catalog.defaults.flavor), known)
    return ImageView(
        id=known.id,
        title=known.title.in_language(texts.language),
        summary=known.summary.in_language(texts.language),
        available=why_not is None,
        reason=None if why_not is None else texts.say(UNAVAILABLE_TEXTS[why_not]),
        remedy=None if why_not is None else texts.say(REMEDIES[why_not]),
    )


def _instance(snapshot: UserSnapshot, catalog: Catalog, texts: Translations, user_name: str) -> InstanceView:
    instance = snapshot.current
    assert instance is not None
    assert instance.state is not InstanceState.ENDED
    drain = snapshot.pool.controls.drain
    has_files = instance.state is InstanceState.RUNNING and has_agent(catalog, instance.image)
    url = user_path(instance.user_name)
    return InstanceView(
        id=instance.id,
        state=instance.state.value,
        flavor=instance.flavor,
        image=instance.image,
        example=instance.example,
        requested_at=instance.requested_at,
        begun_at=snapshot.begun_at or instance.requested_at,
        usable_at=instance.usable_at,
        ends_at=_first(instance.ends_at, drain.at if drain else None),
        url=url,
        open_url=f"{url}lab?language={texts.language}",
        files_url=files_url(instance.user_name) if has_files else None,
        problem=None if instance.user_name == user_name else texts.say(RENAMED, name=instance.user_name),
        progress=[
            ProgressView(at=event.at, percent=STEP_TEXTS[event.step][0], text=texts.say(STEP_TEXTS[event.step][1]))
            for event in snapshot.progress
        ],
        ending=ending_view(instance, snapshot.bundle, texts) if instance.state is InstanceState.STOPPING else None,
    )


def _obstacle(pool: PoolSnapshot, ticket: Ticket, texts: Translations) -> str | None:
    if pool.controls.is_paused(ticket.flavor):
        return texts.say(PAUSED)
    return texts.say(NO_MACHINE_NOW) if ticket.flavor in pool.without_room else None


def _ticket(snapshot: UserSnapshot, texts: Translations) -> TicketView | None:
    ticket = snapshot.ticket
    if ticket is None or ticket.instance_id is not None:  # its instance is shown instead
        return None
    wait = snapshot.pool.wait(ticket.flavor, snapshot.place) if snapshot.place is not None else None
    return TicketView(
        id=ticket.id,
        state="waiting" if snapshot.place is not None else "called",
        flavor=ticket.flavor,
        image=ticket.image,
        example=ticket.example,
        joined_at=ticket.joined_at,
        place=snapshot.place,
        wait_seconds=_seconds(wait),
        reason=_obstacle(snapshot.pool, ticket, texts) if snapshot.place is not None else None,
        held=snapshot.place is None and snapshot.current is not None,
        hold_until=ticket.hold_until,
    )


def _first(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _seconds(wait: WaitEstimate | None) -> tuple[int, int] | None:
    return None if wait is None else (round(wait.low), round(wait.high))
