"""The state of the demo cloud. It is updated to the current time whenever it is read."""

from __future__ import annotations

import heapq
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from spawner.demo_cloud.accounts import Directory
from spawner.demo_cloud.call_log import CallLog
from spawner.demo_cloud.clock import Clock
from spawner.demo_cloud.faults import Faults
from spawner.demo_cloud.nonces import Nonces
from spawner.demo_cloud.notebooks import billing
from spawner.demo_cloud.notebooks.access_tokens import AccessTokens
from spawner.demo_cloud.notebooks.files import Files
from spawner.demo_cloud.notebooks.instance import GONE, Instance, Pace


@dataclass
class InstanceType:
    """An instance type on the price list. `memory` and `disk` in GiB, `price` per hour."""

    id: str
    cpu: int
    memory: float
    price: Decimal | None
    gpus: int = 0
    gpu: str = ""
    gpu_memory: float = 0
    disk: int = 500
    available: bool = True
    currency: str = "CNY"


def price_list() -> dict[str, InstanceType]:
    """The initial price list. The names are Alibaba Cloud's; the prices are invented."""
    instance_types = (
        InstanceType("ecs.g6.large", 2, 8, Decimal("0.65")),
        InstanceType("ecs.g6.xlarge", 4, 16, Decimal("1.3")),
        InstanceType("ecs.g6.4xlarge", 16, 64, Decimal("5.2")),
        InstanceType("ecs.gn6i-c4g1.xlarge", 4, 15, Decimal("8.68"), 1, "NVIDIA T4", 16),
        InstanceType("ecs.gn6v-c8g1.2xlarge", 8, 32, Decimal("14.1"), 1, "NVIDIA V100", 16),
        InstanceType("ecs.gn7i-c16g1.4xlarge", 16, 60, Decimal("11.63"), 1, "NVIDIA A10", 24, available=False),
    )
    return {instance_type.id: instance_type for instance_type in instance_types}


@dataclass
class Behavior:
    """Undocumented behaviour of the real cloud, both ways of which can be tried. All ASSUMED."""

    timer_while_booting: bool = True  # whether a shutdown timer may be set before the instance runs
    timer_replaces: bool = False  # whether a second timer replaces the first
    names_per_workspace: bool = True  # names are unique per workspace; else per account and region
    delete_while_running: bool = False


@dataclass
class World:
    """The whole cloud. `past`: deleted instances, for bills."""

    clock: Clock
    regions: dict[str, dict[str, InstanceType]]
    pace: Pace = field(default_factory=Pace)
    behavior: Behavior = field(default_factory=Behavior)
    directory: Directory = field(default_factory=Directory)
    faults: Faults = field(default_factory=Faults)
    call_log: CallLog = field(default_factory=CallLog)
    nonces: Nonces = field(default_factory=Nonces)
    files: Files = field(default_factory=Files)
    access_tokens: AccessTokens = field(default_factory=AccessTokens)
    skew: timedelta = timedelta()
    source_ip: str = "127.0.0.1"
    gates: str = ""
    password: str = field(default_factory=secrets.token_urlsafe, repr=False)
    instances: dict[str, Instance] = field(default_factory=dict)
    past: list[Instance] = field(default_factory=list)
    _later: list[tuple[datetime, int, Callable[[datetime], None]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    def now(self) -> datetime:
        """Apply everything that is due, then return the time."""
        now = self.clock.now()
        while self._later and self._later[0][0] <= now:
            when, _, act = heapq.heappop(self._later)
            act(when)
        for instance in list(self.instances.values()):
            instance.settle(now, self.pace)
            if instance.wiped:
                self.files.wipe(instance.id)
            if instance.status == GONE:
                self.files.wipe(instance.id)
                self.past.append(self.instances.pop(instance.id))
        return now

    def later(self, seconds: float, act: Callable[[datetime], None]) -> None:
        """Schedule `act` in `seconds` of virtual time."""
        when = self.clock.now() + timedelta(seconds=seconds)
        heapq.heappush(self._later, (when, next(self._order), act))

    def bill(self, account: str) -> list[billing.Line]:
        """All lines of an account's bill until now, including deleted instances."""
        now = self.now()
        everything = (*self.past, *self.instances.values())
        return [line for instance in everything if instance.account == account for line in billing.lines(instance, now)]

    def owes(self, account: str) -> Decimal:
        """The sum of the bill, in CNY."""
        return sum((line.amount for line in self.bill(account)), Decimal(0))
