"""All states of a user's free and paid notebooks, as rows, and what the desk makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader

import spawner.desk
from spawner.catalog import Catalog, Membership, rights_of
from spawner.desk.durations import LOCALES
from spawner.desk.formats import Formats
from spawner.desk.i18n import Translations, load_translations
from spawner.desk.paid.instance_view import OrderInstance, ViewContext, consent_instance
from spawner.desk.paid.texts import cloud_state
from spawner.desk.user.session_views import ExtensionView, SessionPart
from spawner.desk.user.snapshot import PoolSnapshot, UserSnapshot
from spawner.desk.user.state import build_state
from spawner.ledger import EndReason, Instance, InstanceState, StartStep, Ticket, TicketState
from spawner.ledger.bundles.rows import Bundle, BundleState
from spawner.ledger.paid.rows import Order, OrderState, StopReason
from spawner.ledger.pool.admin_settings import AdminSetting
from spawner.ledger.pool.rows import Event
from spawner.paid.providers.base import RemoteState
from spawner.pool.admin.settings import DRAIN, AdminSettings
from spawner.pool.keeping import KEPT_AFTER
from spawner.pool.progress import USER_REQUESTED
from spawner.pool.queue.wait_estimate import WaitEstimate
from spawner.pool.time.refusals import TICKET_ENDED
from tests.paid import make as paid_make
from tests.unit import make
from tests.unit.make import NOW

TEXTS = load_translations()
HERE = "http://desk.test/"
"""Where the test's browser finds the desk's static files."""
FOLDER = spawner.desk.__path__[0]
SIZES: dict[str, Any] = {"memory": 2 * make.GIB, "cpu": 2, "limit": 4}
GPU: dict[str, Any] = {"accelerator": {"name": "L4", "resource": "nvidia.com/gpu", "count": 1, "memory": 24 * make.GIB}}


def later(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def catalog() -> Catalog:
    cpu = make.flavor("cpu", title={"en": "CPU", "zh": "CPU 规格"}, **SIZES)
    gpu = make.flavor("gpu", title={"en": "GPU", "zh": "GPU 规格"}, **SIZES, **GPU)
    found = make.catalog(cpu, gpu, images=(make.image("cpu"),))
    (ocr,) = found.examples
    ocr = ocr.model_copy(update={"title": make.Text(en="Read an image", zh="识别图片文字")})
    return found.model_copy(update={"examples": (ocr,)})


CATALOG = catalog()
BACKEND: Any = SimpleNamespace(
    isolated=True, weakness=None, memory=lambda: None, why_not=lambda *_: None, supports_user_namespaces=False
)
WAITS: Any = SimpleNamespace(wait=lambda place: WaitEstimate(240, 360, 480))


@dataclass(frozen=True)
class Free:
    """One state of the free notebook: its rows, and which part of the page tells of it."""

    name: str
    current: Instance | None = None
    ticket: Ticket | None = None
    place: int | None = None
    last: Instance | None = None
    last_ticket: Ticket | None = None
    bundle: Bundle | None = None
    progress: tuple[Event, ...] = ()
    is_full: tuple[str, ...] = ()
    drain: dict[str, Any] | None = None
    without_room: frozenset[str] = frozenset()
    session: SessionPart | None = None
    part: str = ".hero"

    def state(self, texts: Translations) -> dict[str, Any]:
        """The page's state."""
        free = {flavor.id for flavor in CATALOG.flavors} - set(self.is_full)
        row = AdminSetting(DRAIN, self.drain, NOW, "root") if self.drain is not None else None
        pool = PoolSnapshot(
            revision=1,
            at=NOW,
            slots=[],
            without_room=set(self.without_room),
            controls=AdminSettings({} if row is None else {DRAIN: row}),
            queue=[make.ticket("other", flavor=one, user_name=f"other-{one}") for one in self.is_full],
            free_now=free,
            wait_histories=dict.fromkeys(self.is_full, WAITS),
        )
        snapshot = UserSnapshot(
            pool=pool,
            current=self.current,
            progress=list(self.progress),
            ticket=self.ticket,
            place=self.place,
            last=self.last,
            last_ticket=self.last_ticket,
            rights=rights_of(CATALOG, Membership(frozenset())),
            bundle=self.bundle,
        )
        state = build_state(
            snapshot, user_name="ann", admin=False, catalog=CATALOG, backend=BACKEND, texts=texts, base="/", now=NOW
        )
        if self.session is not None and state.instance is not None:
            session = SessionPart(extension=_translated(self.session.extension, texts), notices=[])
            state = state.model_copy(update={"instance": state.instance.model_copy(update={"session": session})})
        return state.model_dump(mode="json")


def _translated(extension: ExtensionView, texts: Translations) -> ExtensionView:
    return extension.model_copy(update={"text": texts.say(extension.text)})


def instance(state: InstanceState = InstanceState.RUNNING, **changes: Any) -> Instance:
    times = {"requested_at": later(-62), "usable_at": later(-60), "ends_at": later(180)}
    return make.instance("i", state, flavor="cpu", **times | changes)


def ended(reason: EndReason, **changes: Any) -> Instance:
    return instance(InstanceState.ENDED, reason=reason, ended_at=later(-3), **changes)


def bundle(state: BundleState, detail: str | None = None) -> Bundle:
    return Bundle("b", "ann", "i", state, "00", "", 1, 1, later(-5), later(6 * 1440), detail=detail)


def ticket(state: TicketState = TicketState.WAITING, flavor: str = "gpu", **changes: Any) -> Ticket:
    return make.ticket("t", state, flavor=flavor, user_name="ann", joined_at=later(-9), rank_at=later(-9), **changes)


def session(code: Any, text: str) -> SessionPart:
    extension = ExtensionView(possible=False, seconds=3600, left=2, number=1, reason=code, text=text)
    return SessionPart(extension=extension, notices=[])


NEVER_RAN: dict[str, Any] = {"usable_at": None, "ends_at": None}
NO_START = (EndReason.NO_ROOM, EndReason.NO_IMAGE, EndReason.START_FAILED, EndReason.SURPLUS)
NO_HOURS = "You do not have enough hours left this week to extend your notebook."


def free_states() -> Iterator[Free]:
    """Each, in the order of a notebook's life."""
    both = ("cpu", "gpu")
    yield Free("none")
    yield Free("none, all in use", is_full=both)
    yield Free("none, closed for maintenance", drain={"reason": ""}, part="#app")
    yield Free("in line for a GPU while a CPU is free", ticket=ticket(), place=2, is_full=("gpu",), part="#app")
    yield Free("in line, nothing is free", ticket=ticket(), place=2, is_full=both, part="#app")
    yield Free(
        "in line, and no server has capacity",
        ticket=ticket(),
        place=1,
        is_full=both,
        without_room=frozenset({"gpu"}),
    )
    called: dict[str, Any] = {"state": TicketState.CALLED, "called_at": NOW, "hold_until": later(10)}
    yield Free("your turn", ticket=ticket(**called), is_full=("gpu",), part="#app")
    yield Free(
        "your turn while another notebook runs", current=instance(), ticket=ticket(**called), part=".queue-banner"
    )
    yield Free(
        "in line while another notebook runs",
        current=instance(),
        ticket=ticket(),
        place=2,
        is_full=("gpu",),
        part=".queue-banner",
    )
    steps = (StartStep.REQUESTED, StartStep.SLOT_WARM, StartStep.CLAIMED)
    yield Free(
        "starting",
        current=instance(InstanceState.STARTING, **NEVER_RAN | {"requested_at": NOW}),
        progress=tuple(Event(n, "i", NOW, step, {}) for n, step in enumerate(steps)),
    )
    yield Free("running", current=instance())
    yield Free("running, hours too short to extend", current=instance(), session=session("no_hours", NO_HOURS))
    yield Free("running, ends soon", current=instance(ends_at=later(7)))
    yield Free("running under a previous name", current=instance(user_name="old"))
    stopping = {"state": InstanceState.STOPPING}
    yield Free("stopping, asked for", current=instance(**stopping, reason=EndReason.STOPPED))
    yield Free("stopping, start cancelled", current=instance(**stopping, reason=EndReason.CANCELLED, **NEVER_RAN))
    yield Free("stopping, start failed", current=instance(**stopping, reason=EndReason.START_FAILED, **NEVER_RAN))
    for reason in EndReason:
        if reason not in (*USER_REQUESTED, *NO_START):
            yield Free(f"stopping: {reason}", current=instance(**stopping, reason=reason))
    at_limit = instance(**stopping, reason=EndReason.DEADLINE)
    yield Free("stopping, files are being saved", current=at_limit, bundle=bundle(BundleState.MAKING))
    yield from ended_states()


def ended_states() -> Iterator[Free]:
    """Each reason, what became of the files, and tickets."""
    for reason in EndReason:
        if reason not in USER_REQUESTED:
            never = NEVER_RAN if reason in NO_START else {}
            yield Free(f"ended: {reason}", last=ended(reason, **never), part=".last")
    for reason in (EndReason.ADMINISTRATOR, EndReason.MAINTENANCE, EndReason.LOST):
        yield Free(f"ended before it ran: {reason}", last=ended(reason, **NEVER_RAN), part=".last")
    for reason in sorted(KEPT_AFTER):
        kept = bundle(BundleState.KEPT)
        yield Free(f"ended, files kept: {reason}", last=ended(reason), bundle=kept, part=".last")
    limit = ended(EndReason.DEADLINE)
    left_out = bundle(BundleState.KEPT, '{"names": ["big.bin"], "count": 1}')
    yield Free("ended, some files kept", last=limit, bundle=left_out, part=".last")
    yield Free("ended, files are being saved", last=limit, bundle=bundle(BundleState.MAKING), part=".last")
    failed = bundle(BundleState.FAILED, '{"code": "timed_out"}')
    yield Free("ended, files not kept", last=limit, bundle=failed, part=".last")
    times: dict[str, Any] = {"called_at": later(-8), "ended_at": later(-1)}
    yield Free("ticket expired", last_ticket=ticket(TicketState.EXPIRED, **times), part=".last")
    yield Free("ticket failed", last_ticket=ticket(TicketState.FAILED, **times), part=".last")
    gone = ticket(TicketState.FAILED, called_at=None, ended_at=later(-1))
    yield Free("ticket of what is gone", last_ticket=gone, part=".last")
    no_hours = ticket(TicketState.FAILED, **times, detail=TICKET_ENDED)
    yield Free("ticket without hours", last_ticket=no_hours, part=".last")


# Paid

CLOUD: Any = SimpleNamespace(providers={"dsw": SimpleNamespace(title="Alibaba Cloud PAI-DSW")}, reaches=lambda *_: True)


RAN = (
    StopReason.ASKED,
    StopReason.HUB,
    StopReason.CAP,
    StopReason.TIME,
    StopReason.OUTSIDE,
    StopReason.UNPROTECTED,
    StopReason.LIST_BLIND,
    StopReason.NOT_STARTED,
    StopReason.UNLINKED,
)
NOT_MADE = (
    StopReason.REFUSED,
    StopReason.PRICE,
    StopReason.TOO_LATE,
    StopReason.CANCELLED,
    StopReason.BLOCKED,
)


def paid_orders() -> Iterator[tuple[str, Order | None]]:
    """Each display state; None: approved, and not ordered yet."""
    yield "approved", None
    began: dict[str, Any] = {"run_began_at": later(-30), "seen_at": later(-1), "stops_at": later(90)}
    runs: dict[str, Any] = began | {"remote_state": RemoteState.RUNNING, "raw_state": "Running", "running": 1800.0}
    yield "requested", paid_make.order(state=OrderState.INTENDED)
    yield "creating", paid_make.order(state=OrderState.CREATING, raw_state="Creating", seen_at=NOW)
    yield "checking", paid_make.order(state=OrderState.UNKNOWN)
    running = paid_make.order(state=OrderState.ACTIVE, auto_stop_set_at=later(-29), **runs)
    yield "running", running
    yield "found running", replace(running, state=OrderState.RECOVERED)
    yield "stop asked for", replace(running, stop_wanted_at=NOW)
    cloud: dict[str, Any] = {"raw_state": "Stopping", "remote_state": RemoteState.STOPPING}
    stopping = replace(running, state=OrderState.STOPPING, reason=StopReason.ASKED, **cloud)
    yield "stopping", stopping
    yield "stopping at its limit", replace(stopping, reason=StopReason.CAP)
    over: dict[str, Any] = {"run_began_at": None, "spent": "0.33", "stops_at": None}
    stopped = replace(stopping, state=OrderState.STOPPED, raw_state="Stopped", stopped_at=NOW, **over)
    for reason in RAN:
        yield f"stopped: {reason}", replace(stopped, reason=reason)
    yield "deletion asked for", replace(stopped, delete_wanted_at=NOW)
    yield "deleting", replace(stopped, state=OrderState.DELETING, raw_state="Deleting")
    yield "deleted", replace(stopped, state=OrderState.GONE, raw_state=None, ended_at=NOW)
    rejected = paid_make.order(state=OrderState.REJECTED, ended_at=NOW)
    for reason in NOT_MADE:
        yield f"not created: {reason}", replace(rejected, reason=reason)
    yield "failed", replace(running, remote_state=RemoteState.FAILED, raw_state="Failed")


def paid_page(order: Order | None, language: str) -> str:
    """HTML of the page of one instance."""
    texts = TEXTS[language]
    context = ViewContext(CLOUD, texts, "/", NOW, paused=False)
    consent = paid_make.consent()
    binding = paid_make.make_binding()
    view = (
        consent_instance(consent, context)
        if order is None
        else OrderInstance(order, consent, binding, is_asked=False, record=None, context=context).view()
    )
    environment = Environment(loader=FileSystemLoader(f"{FOLDER}/templates"), autoescape=True)
    return environment.get_template("paid/instance.html").render(
        _=texts.say,
        lang=language,
        base="/",
        picture="",
        static=lambda path: f"{HERE}static/{path}" if path.endswith(".css") else "data:text/javascript,",
        xsrf="",
        announcement=None,
        formats=Formats(LOCALES[language]),
        instance=view,
        consent=consent,
        unspent=consent,
        runs=[],
        notices=[],
        archive="",
        binding_id=binding.id,
        console="",
        bill="",
        ban=None,
        cloud_state=lambda raw: cloud_state(raw, texts),
    )
