"""The state of the administrator's page, built from the catalog and one transaction of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.catalog import Catalog, Flavor, Limits, Membership, groups_for, rights_of
from spawner.desk.admin.activity import Activities, activity_view, read_activities
from spawner.desk.admin.causes import FAILURE_STEPS, less_room_text, shortage_text
from spawner.desk.admin.views import (
    AdminFlavorView,
    AdminState,
    BackOffView,
    DayView,
    DrainView,
    EstimateAccuracyView,
    FailureView,
    FloorView,
    HourView,
    IgnoredView,
    NamedView,
    PercentilesView,
    PlanView,
    SetView,
    SlotsView,
    TargetView,
    UserNamespacesView,
)
from spawner.desk.i18n import Translations
from spawner.desk.views import UserView
from spawner.hub_settings import MAIN_HUB
from spawner.ledger import EndReason, Instance, InstanceState, Slot, SlotState, TicketState, leases
from spawner.ledger.pool import instances, slots, user_namespaces
from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.pool.admin.settings import DRAIN, FLOOR, PAUSE, PLAN, IgnoredSetting, Plan
from spawner.pool.backends.base import Backend
from spawner.pool.capacity import capacity_of, is_unassigned
from spawner.pool.day_reader import DayReader
from spawner.pool.policies import shown_groups
from spawner.pool.queue.responses import UNAVAILABLE_TEXTS
from spawner.pool.shortage import less_room, shortage_of
from spawner.pool.statistics import Day, Percentiles, Statistics, percentiles, statistics_of
from spawner.pool.user_namespaces import NAMESPACE_REASONS, decide
from spawner.pool.warm.demand import WarmSnapshot, read_demand
from spawner.pool.warm.targets import PLAN_LEAD, TARGET_REASONS, BackOff, WarmTarget, back_off, warm_targets

NO_MACHINE = "At the last attempt the cluster had no node with enough capacity."
NOT_IN_CATALOG = "{missing} is not in the catalog."
UNREADABLE = "This version of Freepool cannot read this setting."
FOR_EVERYBODY = "For everybody."
FOR_GROUP = "For the group {groups}."
FOR_GROUPS = "For the groups {groups}."
REASONS: dict[EndReason, str] = {
    EndReason.CRASHED: "Exited on its own",
    EndReason.OUT_OF_MEMORY: "Out of memory",
    EndReason.OUT_OF_DISK: "Disk full",
    EndReason.EVICTED: "Evicted: node ran out of resources",
    EndReason.NO_IMAGE: "Image pull failed",
    EndReason.START_FAILED: "Start failed",
    EndReason.LOST: "Lost",
    EndReason.NO_ROOM: "No server had capacity",
}


@dataclass(frozen=True)
class AdminSnapshot:
    """The rows that the page shows. `tried` are the observations of user namespaces on nodes."""

    warm: WarmSnapshot
    unended: list[Instance]
    without_room: set[str]
    day: Day
    lease_ends_at: datetime | None
    tried: list[NodeSupport]
    activities: Activities


def read_admin(
    connection: Connection, *, limits: Limits, now: datetime, days: DayReader | None = None, hub: str = MAIN_HUB
) -> AdminSnapshot:
    """Read them in the transaction of `connection`. `days`: of a process that shows them often. `hub`: its own."""
    unended = instances.unended(connection)
    return AdminSnapshot(
        warm=read_demand(connection, now=now),
        unended=unended,
        activities=read_activities(connection, unended),
        without_room=slots.without_room(connection, since=now - limits.no_room_ttl),
        day=(days or DayReader()).read(connection, now=now),
        lease_ends_at=leases.steward_ends_at(connection, hub),
        tried=user_namespaces.all_of(connection),
    )


@dataclass(frozen=True)
class AdminStateBuilder:
    """Builds the state in the user's language."""

    snapshot: AdminSnapshot
    catalog: Catalog
    backend: Backend
    texts: Translations
    now: datetime

    def state(self, user: UserView) -> AdminState:
        """All of it."""
        warm = self.snapshot.warm
        targets = warm_targets(
            self.catalog,
            self.backend,
            demand=warm.demand,
            controls=warm.controls,
            tickets=warm.tickets,
            now=self.now,
        )
        lease = self.snapshot.lease_ends_at
        return AdminState(
            user=user,
            steward=lease is not None and lease >= self.now,
            drain=self._drain(),
            flavors=[self._flavor(flavor, targets) for flavor in self.catalog.flavors],
            images=[
                NamedView(id=image.id, title=image.title.in_language(self.texts.language))
                for image in self.catalog.images
                if image.agent
            ],
            plans=sorted(
                (self._plan(name, plan) for name, plan in warm.controls.plans.items()),
                key=lambda plan: (plan.state == "over", plan.next_begins, plan.name),
            ),
            ignored=[self._ignored(ignored) for ignored in warm.controls.ignored(self.catalog)],
            now=self.now,
        )

    def _drain(self) -> DrainView | None:
        drain = self.snapshot.warm.controls.drain
        if drain is None:
            return None
        row = self.snapshot.warm.controls.rows[DRAIN]
        return DrainView(by=row.set_by, at=row.set_at, ends_all_at=drain.at, reason=drain.reason)

    def _set(self, name: str) -> SetView | None:
        row = self.snapshot.warm.controls.rows.get(name)
        return None if row is None else SetView(by=row.set_by, at=row.set_at)

    def _flavor(self, flavor: Flavor, targets: dict[tuple[str, str], WarmTarget]) -> AdminFlavorView:
        snapshot = self.snapshot
        waiting = [
            ticket
            for ticket in snapshot.warm.tickets
            if ticket.flavor == flavor.id and ticket.state is TicketState.WAITING
        ]
        states = [instance.state for instance in snapshot.unended if instance.flavor == flavor.id]
        capacity = capacity_of(
            self.catalog, self.backend, flavor, snapshot.warm.slots, without_room=snapshot.without_room
        )
        reason = None
        if capacity.why_not is not None:
            reason = self.texts.say(UNAVAILABLE_TEXTS[capacity.why_not])
        elif flavor.id in snapshot.without_room:
            reason = self.texts.say(NO_MACHINE)
        else:
            shortage = shortage_of(self.catalog, self.backend, flavor, snapshot.warm.slots)
            reason = None if shortage is None else shortage_text(shortage, self.catalog, self.texts)
        less = less_room(self.catalog, self.backend, flavor, snapshot.warm.slots, without_room=snapshot.without_room)
        return AdminFlavorView(
            id=flavor.id,
            title=flavor.title.in_language(self.texts.language),
            running=states.count(InstanceState.RUNNING),
            starting=states.count(InstanceState.STARTING),
            stopping=states.count(InstanceState.STOPPING),
            queued=len(waiting),
            oldest_seconds=max(((self.now - ticket.joined_at).total_seconds() for ticket in waiting), default=None),
            slots=_slots(flavor, snapshot.warm.slots, capacity.available),
            reason=reason,
            less_room=None if less is None else less_room_text(less, self.catalog, self.texts),
            user_namespaces=self._user_namespaces(flavor),
            paused=self._set(PAUSE + flavor.id),
            targets=[
                self._target(flavor, image_id, target)
                for (flavor_id, image_id), target in targets.items()
                if flavor_id == flavor.id
            ],
            day=self._day(statistics_of(snapshot.day, flavor.id, now=self.now)),
            audience=self._audience(flavor),
            activity=activity_view(snapshot.activities, flavor.id),
        )

    def _audience(self, flavor: Flavor) -> str | None:
        if all(policy.flavors is None for policy in self.catalog.policies):
            return None
        if rights_of(self.catalog, Membership()).flavor(flavor.id) is None:
            return self.texts.say(FOR_EVERYBODY)
        names = groups_for(self.catalog, "flavor", flavor.id)
        return self.texts.say(
            FOR_GROUP if len(names) == 1 else FOR_GROUPS, groups=shown_groups(names, self.texts.comma)
        )

    def _user_namespaces(self, flavor: Flavor) -> UserNamespacesView | None:
        if not self.backend.supports_user_namespaces:
            return None
        decision = decide(self.catalog, flavor, self.snapshot.tried, self.now)
        text = self.texts.say(NAMESPACE_REASONS[decision.why], nodes=", ".join(decision.nodes))
        return UserNamespacesView(enabled=decision.own, text=text, details=decision.details, until=decision.until)

    def _target(self, flavor: Flavor, image_id: str, target: WarmTarget) -> TargetView:
        warm = self.snapshot.warm
        unassigned = [
            slot for slot in warm.slots if (slot.flavor, slot.image) == (flavor.id, image_id) and is_unassigned(slot)
        ]
        ready = sum(slot.state is SlotState.WARM for slot in unassigned)
        floor = warm.controls.floor(flavor.id, image_id)
        row = warm.controls.rows.get(f"{FLOOR}{flavor.id}:{image_id}")
        in_catalog = any((rule.image or self.catalog.defaults.image) == image_id for rule in flavor.warm)
        return TargetView(
            image=image_id,
            image_title=self.catalog.image(image_id).title.in_language(self.texts.language),
            warm=ready,
            making=len(unassigned) - ready,
            target=target.slots,
            why=self.texts.say(TARGET_REASONS[target.why]),
            floor=None if floor is None or row is None else FloorView(by=row.set_by, at=row.set_at, slots=floor),
            catalog_floor=target.floor if in_catalog else None,
            catalog_ceiling=target.ceiling if in_catalog else None,
            backs_off=self._back_off(back_off(flavor.id, image_id, warm.failures, self.now)),
        )

    def _back_off(self, pause: BackOff | None) -> BackOffView | None:
        if pause is None:
            return None
        reason = pause.slot.reason or EndReason.START_FAILED
        return BackOffView(
            failures=pause.failures,
            until=pause.until,
            reason=self.texts.say(REASONS.get(reason, REASONS[EndReason.START_FAILED])),
            details=pause.slot.detail or "",
        )

    def _day(self, day: Statistics) -> DayView:
        return DayView(
            warm=_percentiles(percentiles(day.warm_seconds)),
            cold=_percentiles(percentiles(day.cold_seconds)),
            waits=_percentiles(percentiles(day.wait_seconds)),
            hours=[
                HourView(begins=hour.begins, came=hour.came, waited=hour.waited, p50=hour.p50, longest=hour.longest)
                for hour in day.hours
            ],
            foretold=EstimateAccuracyView(
                within=day.foretold.within, shorter=day.foretold.shorter, longer=day.foretold.longer
            ),
            failures=[
                FailureView(
                    reason=reason.value,
                    text=self.texts.say(REASONS[reason]),
                    count=count,
                    next=self.texts.say(FAILURE_STEPS[reason]),
                )
                for reason, count in day.failures.items()
            ],
        )

    def _plan(self, name: str, plan: Plan) -> PlanView:
        row = self.snapshot.warm.controls.rows[PLAN + name]
        begins, ends = plan.next(self.now)
        known = {flavor.id for flavor in self.catalog.flavors}, {image.id for image in self.catalog.images}
        if plan.flavor not in known[0] or plan.image not in known[1]:
            state = "ignored"
        elif plan.holds(self.now, lead=PLAN_LEAD):
            state = "now"
        else:
            state = "over" if ends <= self.now else "coming"
        return PlanView.model_validate(
            {
                **plan.model_dump(),
                "name": name,
                "by": row.set_by,
                "at": row.set_at,
                "next_begins": begins,
                "next_ends": ends,
                "state": state,
            }
        )

    def _ignored(self, ignored: IgnoredSetting) -> IgnoredView:
        row, name = ignored.control, ignored.control.name
        text = (
            self.texts.say(NOT_IN_CATALOG, missing=ignored.missing) if ignored.missing else self.texts.say(UNREADABLE)
        )
        view = {"name": name, "text": text, "by": row.set_by, "at": row.set_at}
        if name.startswith(PLAN):
            view |= {"path": "unplan", "body": {"name": name.removeprefix(PLAN)}}
        elif name.startswith(PAUSE):
            view |= {"path": "resume", "body": {"flavor": name.removeprefix(PAUSE)}}
        else:
            flavor, _, image = name.removeprefix(FLOOR).partition(":")
            view |= {"path": "floor", "body": {"flavor": flavor, "image": image, "slots": None}}
        return IgnoredView.model_validate(view)


def _slots(flavor: Flavor, everything: list[Slot], free: int) -> SlotsView:
    own = [slot for slot in everything if slot.flavor == flavor.id]
    unassigned = [slot for slot in own if is_unassigned(slot)]
    warm = sum(slot.state is SlotState.WARM for slot in unassigned)
    leaving = sum(slot.state is SlotState.DESTROYING for slot in own)
    return SlotsView(
        limit=flavor.limit,
        assigned=len(own) - len(unassigned) - leaving,
        warm=warm,
        making=len(unassigned) - warm,
        leaving=leaving,
        room=max(0, free - len(unassigned)),
        free=free,
    )


def _percentiles(values: Percentiles) -> PercentilesView:
    return PercentilesView(count=values.count, p50=values.p50, p95=values.p95)
