"""The paid path without pages: a ledger, the real SDK, the stand-in cloud, and a reconciler that can be killed."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from spawner.ledger import Ledger, open_ledger
from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import Binding, BindingState, Consent, Notice, NoticeKind, Order, OrderState
from spawner.paid.accounts import binding
from spawner.paid.accounts.unlinking import unlink_or_stop
from spawner.paid.consent import service as consent_service
from spawner.paid.consent.rules import Chosen
from spawner.paid.money import Money
from spawner.paid.orders import service as order_service
from spawner.paid.orders.reconciler import Reconciler
from spawner.paid.paid import Paid
from spawner.paid.providers.dsw.provider import DswProvider
from spawner.paid.rules import Rules
from tests.cloud.steer import ADA, HANGZHOU, LI, SHANGHAI, Steer
from tests.paid.dsw import dsw_settings
from tests.paid.make import NOW, make_binding, token_of

SMALL = "ecs.g6.large"
PRICE = Decimal("0.65")
HUB = "hub-under-test"
CAP = Decimal("2.60")
SLACK = PRICE / 60 * 3
"""The cost of one started minute and of the time that a stop takes."""


@dataclass
class World:
    """Virtual time, shared with the cloud. `run` lets time pass with the reconciler; `crash` replaces it."""

    ledger: Ledger
    cloud: Steer
    folder: Path
    rules: Rules = field(default_factory=Rules)
    time: datetime = NOW
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    dice: Callable[[], float] = lambda: 0.5

    def __post_init__(self) -> None:
        self.provider = self.new_provider()
        self.paid = self.new_paid()
        self.reconciler = self.new_reconciler()

    def new_provider(self, **changes: Any) -> DswProvider:
        settings = dsw_settings(self.cloud, self.folder, **changes)
        return DswProvider(settings, now=lambda: self.time, monotonic=self.seconds)

    def seconds(self) -> float:
        return self.time.timestamp()

    def new_paid(self) -> Paid:
        return Paid(
            ledger=self.ledger,
            providers={"dsw": self.provider},
            regions={"dsw": (HANGZHOU, SHANGHAI)},
            now=lambda: self.time,
            new_id=self.new_id,
            hub_label=HUB,
            rules=self.rules,
            dice=self.dice,
        )

    def new_reconciler(self, name: str | None = None) -> Reconciler:
        return Reconciler(self.paid, holder=name or f"steward-{next(self.numbers)}")

    def new_id(self) -> str:
        return f"{next(self.numbers):016x}"

    async def close(self) -> None:
        await self.reconciler.rest()
        await self.provider.close()

    # -- time

    def pass_time(self, seconds: float) -> None:
        """Let time pass without the reconciler."""
        self.time += timedelta(seconds=seconds)
        self.cloud.advance(seconds)

    async def tick(self, times: int = 1) -> None:
        for _ in range(times):
            await self.reconciler.tick()

    async def run(self, seconds: float, *, step: float = 5) -> None:
        """Let time pass, with a round of the reconciler every `step` seconds."""
        until = self.time + timedelta(seconds=seconds)
        await self.tick()
        while self.time < until:
            self.pass_time(min(step, (until - self.time).total_seconds()))
            await self.tick()

    async def until(self, is_so: Callable[[], bool], *, seconds: float = 600, step: float = 5) -> None:
        """`run` until `is_so`; fails after `seconds`."""
        end = self.time + timedelta(seconds=seconds)
        await self.tick()
        while not is_so():
            assert self.time < end, f"not so after {seconds} s"
            self.pass_time(step)
            await self.tick()

    async def until_state(self, order: Order, state: OrderState, *, seconds: float = 600) -> Order:
        await self.until(lambda: self.order(order).state is state, seconds=seconds)
        return self.order(order)

    async def until_running(self, order: Order, *, seconds: float = 300) -> None:
        """`run` until the instance runs with auto-stop set."""
        await self.until(lambda: self.is_running(order), seconds=seconds)

    async def crash(self, *, lease: bool = True) -> None:
        """Kill the steward and start another. `lease`: wait until the old lease has expired."""
        await self.reconciler.rest()
        if lease:
            self.pass_time(self.rules.lease.total_seconds() + 1)
        self.reconciler = self.new_reconciler()

    # -- users

    def link(self, user: str = "ann", *, account: str = ADA, **changes: Any) -> Binding:
        """An active binding, as after sign-in, role and probe."""
        made = make_binding(
            self.new_id(), BindingState.ACTIVE, user_name=user, account_id=account, workspaces={},
            external_id=binding.external_id(next(self.numbers).to_bytes(binding.EXTERNAL_ID_BYTES, "big")),
            role="", **changes,
        )  # fmt: skip
        arn = self.cloud.role(made.external_id, account=account, name=f"Freepool-{user}")
        self.ledger.write(bindings.prove, made)
        self.ledger.write(bindings.activate, made.id, role=arn, workspaces={}, now=self.time)
        return self.ledger.read(bindings.get, made.id)

    def unlink(self, link: Binding, *, by: str = "ann") -> bool:
        """Unlink as the desk does. False where an instance has to be stopped first."""
        return self.ledger.write(unlink_or_stop, link.id, by=by, now=self.time, reaches=self.paid.reaches)

    async def ask(
        self,
        link: Binding,
        *,
        server: str | None = None,
        region: str = HANGZHOU,
        cap: str = "2.60",
        hours: float = 8,
        order: Order | None = None,
        **chosen: Any,
    ) -> Consent:
        name = order.server_name if order else server or f"paid-{next(self.numbers)}"
        chosen_terms = Chosen(name, Money(Decimal(cap), "CNY"), int(hours * 3600), **{"idle_seconds": 3600, **chosen})
        return await consent_service.offer(
            self.paid, link, region, SMALL, chosen_terms, session="5e55", language="en", token_of=token_of, order=order
        )

    async def accept(self, consent: Consent) -> Consent:
        return await consent_service.accept(
            self.paid, consent.id, user_name=consent.user_name, user_since=consent.user_since,
            session=consent.session, token=token_of(consent.id),
        )  # fmt: skip

    def place(self, consent: Consent) -> Order:
        """Order the instance as the hub does in `start()`."""
        return self.ledger.write(
            order_service.place,
            user_name=consent.user_name,
            user_since=consent.user_since,
            server_name=consent.server_name,
            now=self.time,
        )

    async def new_order(self, link: Binding | None = None, **changes: Any) -> Order:
        """An order with a fresh consent."""
        return self.place(await self.accept(await self.ask(link or self.link(), **changes)))

    async def running(self, link: Binding | None = None, **changes: Any) -> Order:
        """An order whose instance runs with auto-stop set."""
        order = await self.new_order(link, **changes)
        await self.until(lambda: self.is_running(order))
        return self.order(order)

    def stop(self, order: Order, by: str | None = None) -> None:
        self.ledger.write(order_service.want_stop, order.id, by=by or order.user_name, now=self.time)

    def delete(self, order: Order) -> None:
        self.ledger.write(order_service.want_delete, order.id, by=order.user_name, now=self.time)

    # -- state

    def order(self, order: Order) -> Order:
        return self.ledger.read(orders.get, order.id)

    def is_running(self, order: Order) -> bool:
        found = self.order(order)
        return (
            found.state is OrderState.ACTIVE and found.remote_state == "running" and found.auto_stop_set_at is not None
        )

    def consent(self, consent: Consent) -> Consent:
        return self.ledger.read(consents.get, consent.id)

    def binding(self, link: Binding) -> Binding:
        return self.ledger.read(bindings.get, link.id)

    def notices(self, kind: NoticeKind | None = None, user: str = "ann") -> list[Notice]:
        found = self.ledger.read(audit.notices_of, user)
        return [notice for notice in found if kind in (None, notice.kind)]

    def events(self, order: Order) -> list[str]:
        return [line.what for line in self.ledger.read(audit.record_of, order.id)]

    def cloud_instances(self, account: str = ADA) -> list[dict[str, Any]]:
        """The instances in the cloud's account."""
        return self.cloud.instances(account)

    def cloud_time(self) -> datetime:
        """The cloud's clock, which may differ from `time`."""
        return datetime.fromisoformat(self.cloud.ask("advance", seconds=0)["now"])

    def backup(self) -> Path:
        """Copy the ledger."""
        path = self.folder / f"backup-{self.new_id()}.sqlite"
        with closing(sqlite3.connect(self.folder / "ledger.sqlite")) as now, closing(sqlite3.connect(path)) as copy:
            now.backup(copy)
        return path

    def requested_names(self) -> list[str]:
        """The name in each create that the cloud received."""
        return [str(call.params.get("InstanceName") or "") for call in self.cloud.calls(action="CreateInstance")]

    def secrets(self) -> list[str]:
        """Secrets that no log and no ledger may contain."""
        sessions = [session for kept in self.provider._calls._kept.values() for session in kept.secrets]
        return [self.cloud.keys.access_key_secret, *sessions]


@contextlib.asynccontextmanager
async def restored(world: World, backup: Path, *, after: float) -> AsyncIterator[World]:
    """The same cloud `after` seconds later, with the ledger of a backup."""
    await world.reconciler.rest()
    world.pass_time(after)
    ledger = open_ledger(f"sqlite:///{backup}")
    old = World(ledger, world.cloud, world.folder, time=world.time, numbers=world.numbers)
    yield old
    await old.close()
    ledger.close()


__all__ = ["ADA", "CAP", "HANGZHOU", "LI", "PRICE", "SHANGHAI", "SLACK", "SMALL", "World", "restored"]
