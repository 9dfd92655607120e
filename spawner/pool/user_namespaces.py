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

from spawner.catalog import Catalog, Flavor
from spawner.compat import StrEnum
from spawner.ledger import Slot
from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.pool.backends.base import Phase, SlotStatus

RETRY_AFTER = timedelta(hours=6)
"""After this a node without support is tried again: it may have been updated, or the failure had another cause."""
REFRESH_EVERY = timedelta(days=1)
"""How often a node's support is written again."""
RETENTION = timedelta(days=7)


class NamespaceReason(StrEnum):
    """What decides."""

    CATALOG_OWN = "catalog_own"
    CATALOG_HOST = "catalog_host"
    ACCELERATOR = "accelerator"
    UNTRIED = "untried"
    WORKS = "works"
    REFUSED = "refused"


NAMESPACE_REASONS: dict[NamespaceReason, str] = {
    NamespaceReason.CATALOG_OWN: "User namespaces are on: the catalog says so.",
    NamespaceReason.CATALOG_HOST: "User namespaces are off: the catalog says so.",
    NamespaceReason.ACCELERATOR: "User namespaces are off: this flavor uses devices of its node. "
    "The catalog can turn them on.",
    NamespaceReason.UNTRIED: "User namespaces are asked for. No pod has run with one yet.",
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
    alike = {one.id for one in catalog.flavors if _place(one) == _place(flavor)}
    known = [one for one in tried if one.flavor in alike]
    refused = [one for one in known if not one.works and now - one.noted_at < RETRY_AFTER]
    if refused:
        last = max(refused, key=lambda one: one.noted_at)
        return NamespaceDecision(
            False, NamespaceReason.REFUSED, _nodes(refused), last.detail, last.noted_at + RETRY_AFTER
        )
    works = _nodes(one for one in known if one.works)
    return NamespaceDecision(True, NamespaceReason.WORKS if works else NamespaceReason.UNTRIED, works)


def _nodes(tried: Iterable[NodeSupport]) -> tuple[str, ...]:
    return tuple(sorted({one.node for one in tried}))


def _place(flavor: Flavor) -> tuple[Mapping[str, str], str | None]:
    return flavor.pod.node_selector, flavor.pod.runtime_class


def new_observations(
    found: Mapping[str, SlotStatus], slots: Iterable[Slot], tried: Iterable[NodeSupport], now: datetime
) -> Iterator[NodeSupport]:
    """What the pods show of their nodes and is not written yet."""
    known = {(one.flavor, one.node): one for one in tried}
    for slot in slots:
        status = found.get(slot.id)
        if status is None or not status.node or not status.user_namespace:
            continue
        before = known.get((slot.flavor, status.node))
        seen: NodeSupport | None = None
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
