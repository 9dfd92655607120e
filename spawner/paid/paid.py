"""The paid path's parts, as one thing that steward, desk and tests pass around. It holds no state of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from spawner.ledger import Ledger
from spawner.ledger.paid.rows import Binding, Order
from spawner.paid.providers.base import Provider
from spawner.paid.rules import Rules

HUB_LABEL, ORDER_LABEL, BINDING_LABEL = "freepool_hub", "freepool_order", "freepool_binding"


@dataclass(frozen=True)
class Paid:
    """`providers`, and the `regions` in which instances may be, are by provider id. `hub_label` marks in a cloud what
    is this installation's. Time, ids and dice (0 to 1) are passed in, so that tests control them.
    """

    ledger: Ledger
    providers: Mapping[str, Provider]
    regions: Mapping[str, Sequence[str]]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    hub_label: str
    rules: Rules = field(default_factory=Rules)
    dice: Callable[[], float] = random.random

    def labels_of(self, order: Order) -> dict[str, str]:
        """What an order's instance carries in the cloud."""
        return {HUB_LABEL: self.hub_label, ORDER_LABEL: order.id, BINDING_LABEL: order.binding_id}

    def reaches(self, provider: str, region: str) -> bool:
        """Whether the operator's settings name this cloud and this region of it: nothing is asked of any other."""
        return provider in self.providers and region in self.regions.get(provider, ())

    def regions_of(self, binding: Binding) -> list[str]:
        """Everywhere that an instance under a binding may be, and that we can look."""
        return sorted(self.regions.get(binding.provider, ()))

    def left_out(self, binding: Binding) -> set[str]:
        """Regions for which it was linked, and which the operator has taken out of the settings since."""
        return {*binding.workspaces} - {*self.regions.get(binding.provider, ())}
