"""The dependencies of the paid path, in one object that steward, desk and tests pass to its functions."""

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
    """`providers`, and the `regions` that each may use, are by provider id. `hub_label` marks the instances of this
    installation in a cloud. Tests replace `now`, `new_id` and `dice` (random numbers from 0 to 1).
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
        """Labels of the order's instance in the cloud."""
        return {HUB_LABEL: self.hub_label, ORDER_LABEL: order.id, BINDING_LABEL: order.binding_id}

    def reaches(self, provider: str, region: str) -> bool:
        """Whether the settings name this provider and region. Freepool calls no other."""
        return provider in self.providers and region in self.regions.get(provider, ())

    def regions_of(self, binding: Binding) -> list[str]:
        """The regions in the settings where the binding's instances may be."""
        return sorted(self.regions.get(binding.provider, ()))

    def left_out(self, binding: Binding) -> set[str]:
        """Regions for which the account was linked, and that have been removed from the settings since."""
        return {*binding.workspaces} - {*self.regions.get(binding.provider, ())}
