"""Whether pods of a flavor get a user namespace (`hostUsers: false`). Pure.

With a user namespace, root in a container and every other user of it have no rights on the node. Whether a node can
support it depends on its kernel, file systems and container runtime, and the hub may not read nodes. So pods show it: a
pod that runs with a user namespace shows that its node supports it; a pod that gets no sandbox shows that its node does
not (`backends/kubernetes/watch.py`), and for a while the next pods of such flavors get none.

A pod's fields are fixed before its node is chosen. So one node without support decides for all flavors whose pods may
go there: those with the same node selector and RuntimeClass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from spawner.catalog import Catalog, Flavor
from spawner.ledger import Slot
from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.pool.backends.base import Phase, SlotStatus

RETRY_AFTER = timedelta(hours=6)
"""After this a node without support is tried again: it may have been updated, or the failure had another cause."""
REFRESH_EVERY = timedelta(days=1)
"""How often a node's support is written again."""
RETENTION = timedelta(days=7)
NODE_DOWN_AFTER = timedelta(minutes=1)
"""After this a node that is down gets no new pods: the cluster notices within 50 s."""


class NamespaceReason(StrEnum):
    """What decides."""

    CATALOG_OWN = "catalog_own"
    CATALOG_HOST = "catalog_host"
    ACCELERATOR = "accelerator"
    UNTRIED = "untried"
    WORKS = "works"
    REFUSED = "refused"


NAMESPACE_REASONS: dict[NamespaceReason, str] = {
    NamespaceReason.CATALOG_OWN: "User namespaces are on (set in the catalog).",
    NamespaceReason.CATALOG_HOST: "User namespaces are off (set in the catalog).",
    NamespaceReason.ACCELERATOR: (
        "User namespaces are off because this machine type uses devices of its node. You can turn them "
        "on in the catalog."
    ),
    NamespaceReason.UNTRIED: "User namespaces are requested. No pod has run with one yet.",
    NamespaceReason.WORKS: "User namespaces are on. Nodes that support them: {nodes}.",
    NamespaceReason.REFUSED: "User namespaces are off, because a node does not support them: {nodes}.",
}
"""In English; the desk translates them."""


@dataclass(frozen=True)
class NamespaceDecision:
    """`own`: whether the pods get a user namespace. `nodes` are the nodes that decide, `details` a node's message."""

    own: bool
    why: NamespaceReason
    nodes: tuple[str, ...] = ()
    details: str = ""
    until: datetime | None = None


def decide(catalog: Catalog, flavor: Flavor, tried: Iterable[NodeSupport], now: datetime) -> NamespaceDecision:
    """Decide for one flavor."""
    if flavor.pod.host_users is not None:
        return (
            NamespaceDecision(False, NamespaceReason.CATALOG_HOST)
            if flavor.pod.host_users
            else NamespaceDecision(True, NamespaceReason.CATALOG_OWN)
        )
    if flavor.accelerator is not None:
        return NamespaceDecision(False, NamespaceReason.ACCELERATOR)
    alike = _alike(catalog, flavor)
    known = [one for one in tried if one.flavor in alike]
    refused = [one for one in known if not one.works and now - one.noted_at < RETRY_AFTER]
    if refused:
        last = max(refused, key=lambda one: one.noted_at)
        return NamespaceDecision(
            False, NamespaceReason.REFUSED, _nodes(refused), last.detail, last.noted_at + RETRY_AFTER
        )
    works = _nodes(one for one in known if one.works)
    return NamespaceDecision(True, NamespaceReason.WORKS if works else NamespaceReason.UNTRIED, works)


def _alike(catalog: Catalog, flavor: Flavor) -> set[str]:
    """Ids of the flavors whose pods may go to the same nodes."""
    return {one.id for one in catalog.flavors if _place(one) == _place(flavor)}


def _nodes(tried: Iterable[NodeSupport]) -> tuple[str, ...]:
    return tuple(sorted({one.node for one in tried}))


def _place(flavor: Flavor) -> tuple[Mapping[str, str], str | None]:
    return flavor.pod.node_selector, flavor.pod.runtime_class


Silences = Mapping[tuple[str, str], datetime]
"""Since when a node has made no sandbox, by flavor and node."""


def silent_since(
    found: Mapping[str, SlotStatus], slots: Iterable[Slot], before: Silences, now: datetime
) -> dict[tuple[str, str], datetime]:
    """Since when each node is silent. `before` is what this returned at the last look."""
    since = {place: first for place, first in before.items() if now - first < RETRY_AFTER}
    for slot in slots:
        status = found.get(slot.id)
        if status is None or not status.user_namespace:
            continue
        place = slot.flavor, status.node
        if status.is_silent:
            since.setdefault(place, now)
        elif status.phase is Phase.READY and place in since and slot.created_at > since[place]:
            del since[place]
    return since


def new_observations(
    found: Mapping[str, SlotStatus],
    slots: Iterable[Slot],
    tried: Iterable[NodeSupport],
    now: datetime,
    *,
    catalog: Catalog,
    silences: Silences,
) -> Iterator[NodeSupport]:
    """What the pods show of their nodes and is not written yet.

    A node that is down is as silent as one that does not support user namespaces. So where a node is known to support
    them, the silence of another one counts only if it is still silent when a node that is down would get no more pods.
    """
    known = {(one.flavor, one.node): one for one in tried}
    for slot in slots:
        status = found.get(slot.id)
        if status is None or not status.node or not status.user_namespace:
            continue
        before = known.get((slot.flavor, status.node))
        seen: NodeSupport | None = None
        if status.is_silent and not _silence_counts(slot, status, catalog, known.values(), silences):
            continue
        if status.lacks_user_namespace:
            seen = NodeSupport(slot.flavor, status.node, False, status.detail, now)
            if before is not None and not before.works and before.noted_at >= slot.created_at:
                seen = None
        elif status.phase is Phase.READY:
            seen = NodeSupport(slot.flavor, status.node, True, "", now)
            # A pod from before its node failed proves nothing.
            is_older = before is not None and not before.works and before.noted_at >= slot.created_at
            if is_older or (before is not None and before.works and now - before.noted_at < REFRESH_EVERY):
                seen = None
        if seen is not None:
            known[seen.flavor, seen.node] = seen
            yield seen


def _silence_counts(
    slot: Slot, status: SlotStatus, catalog: Catalog, known: Iterable[NodeSupport], silences: Silences
) -> bool:
    alike = next((_alike(catalog, flavor) for flavor in catalog.flavors if flavor.id == slot.flavor), {slot.flavor})
    if not any(one.works and one.flavor in alike for one in known):
        return True
    first = silences.get((slot.flavor, status.node))
    return first is not None and slot.created_at - first >= NODE_DOWN_AFTER
