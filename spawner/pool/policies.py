"""What the catalog's policies give a person of the ledger, and the refusal of what they do not give."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from spawner.catalog import Catalog, Denial, Membership, Rights, rights_of
from spawner.errors import NotForYou
from spawner.ledger.people import groups

FLAVOR_FOR_GROUP = "The machine type {flavor} is only for the group {groups}."
FLAVOR_FOR_GROUPS = "The machine type {flavor} is only for the groups {groups}."
IMAGE_FOR_GROUP = "The image {image} is only for the group {groups}."
IMAGE_FOR_GROUPS = "The image {image} is only for the groups {groups}."
ASK_FOR_GROUP = "Choose another one, or ask an administrator to add you to a group."
MOST_GROUPS = 5
"""Groups that a text names."""


def rights_in(connection: Connection, catalog: Catalog, person_id: str) -> Rights:
    """A person's rights, by all groups that the ledger has. Reads nothing where no rule looks at groups."""
    has_rules = bool(catalog.policies or catalog.queue.weights)
    return rights_of(catalog, Membership(frozenset(groups.of(connection, person_id)) if has_rules else frozenset()))


def refuse_denied(denial: Denial | None) -> None:
    """Raise `NotForYou` for a denial."""
    if denial is not None:
        raise refusal_of(denial)


def refusal_of(denial: Denial) -> NotForYou:
    """What the user reads. The facts name all groups that it is for."""
    facts = {denial.kind: denial.id, "groups": list(denial.groups)}
    shown = shown_groups(denial.groups)
    is_one = len(denial.groups) == 1
    if denial.kind == "flavor":
        template = FLAVOR_FOR_GROUP if is_one else FLAVOR_FOR_GROUPS
        return NotForYou(template, next_step=ASK_FOR_GROUP, facts=facts, flavor=denial.id, groups=shown)
    template = IMAGE_FOR_GROUP if is_one else IMAGE_FOR_GROUPS
    return NotForYou(template, next_step=ASK_FOR_GROUP, facts=facts, image=denial.id, groups=shown)


def shown_groups(names: Sequence[str], comma: str = ", ") -> str:
    """Names of groups as a text lists them."""
    return comma.join(names[:MOST_GROUPS]) + (" …" if len(names) > MOST_GROUPS else "")
