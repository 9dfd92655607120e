"""Who may use what: pure functions of the catalog's policies and of what is known about a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from spawner.catalog.allowances import AllowanceClass
from spawner.catalog.audiences import Membership, Policy
from spawner.catalog.examples import Example
from spawner.catalog.flavors import Flavor
from spawner.catalog.model import Catalog


@dataclass(frozen=True)
class Denial:
    """A flavor or image is not for a person. `groups` are those whose members may use it."""

    kind: Literal["flavor", "image"]
    id: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Rights:
    """What one person may use. `policies` are those for this person."""

    catalog: Catalog
    membership: Membership
    policies: tuple[Policy, ...]

    def flavor(self, flavor_id: str) -> Denial | None:
        """Why the person may not use a flavor; None where they may."""
        given = (policy.flavors for policy in self.policies)
        return None if _is_given(flavor_id, given) or not self._rules_flavors else self._denial("flavor", flavor_id)

    def image(self, image_id: str) -> Denial | None:
        """Why the person may not use an image; None where they may."""
        given = (policy.images for policy in self.policies)
        return None if _is_given(image_id, given) or not self._rules_images else self._denial("image", image_id)

    def denial(self, flavor_id: str, image_id: str) -> Denial | None:
        """Why the person may not start this flavor with this image; None where they may."""
        return self.flavor(flavor_id) or self.image(image_id)

    def example(self, example: Example) -> Denial | None:
        """Why the person may not open an example: its image, or each flavor with enough memory, is not for them."""
        denied = self.image(example.image)
        if denied is not None:
            return denied
        large_enough = [flavor.id for flavor in self.catalog.flavors if flavor.memory >= example.needs.memory]
        denials = [self.flavor(flavor_id) for flavor_id in large_enough]
        found = [denial for denial in denials if denial is not None]
        if not found or len(found) < len(denials):
            return None
        return Denial("flavor", found[0].id, tuple(sorted({name for one in found for name in one.groups})))

    def session_minutes(self, flavor: Flavor) -> int:
        """The longest that a policy for the person says; the flavor's where none says any."""
        said = [
            policy.session_minutes
            for policy in self.policies
            if policy.session_minutes is not None and policy.covers(flavor.id)
        ]
        return max(said, default=flavor.session_minutes)

    def allowance_hours(self, one: AllowanceClass) -> float:
        """Hours a week of a class: the most that a policy for the person says; the class's where none says any."""
        said = [
            policy.allowances[one.id] for policy in self.policies if policy.allowances and one.id in policy.allowances
        ]
        return max(said, default=one.hours)

    def queue_weight(self, flavor_id: str) -> float:
        """The largest that a policy for the person, or `queue.weights` for one of their groups, says; else 1."""
        said = [
            policy.queue_weight
            for policy in self.policies
            if policy.queue_weight is not None and policy.covers(flavor_id)
        ]
        said += [weight for group, weight in self.catalog.queue.weights.items() if group in self.membership.groups]
        return max(said, default=1.0)

    @property
    def _rules_flavors(self) -> bool:
        return any(policy.flavors is not None for policy in self.catalog.policies)

    @property
    def _rules_images(self) -> bool:
        return any(policy.images is not None for policy in self.catalog.policies)

    def _denial(self, kind: Literal["flavor", "image"], wanted: str) -> Denial:
        return Denial(kind, wanted, groups_for(self.catalog, kind, wanted))


def rights_of(catalog: Catalog, membership: Membership) -> Rights:
    """What the policies for a person give: all that any of them gives, and the most generous of their values."""
    policies = tuple(policy for policy in catalog.policies if policy.audience.includes(membership))
    return Rights(catalog, membership, policies)


def groups_for(catalog: Catalog, kind: Literal["flavor", "image"], wanted: str) -> tuple[str, ...]:
    """The groups that a flavor or image is given to, in order of their names."""
    return tuple(
        sorted(
            {
                name
                for policy in catalog.policies
                if _is_given(wanted, [policy.flavors if kind == "flavor" else policy.images])
                for name in policy.audience.groups
            }
        )
    )


def _is_given(wanted: str, given: Iterable[tuple[str, ...] | None]) -> bool:
    return any(wanted in names for names in given if names is not None)
