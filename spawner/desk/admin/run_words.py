"""How runs ended, and in which state they are, in a few words for administrators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spawner.catalog import Catalog, Flavor, Image
from spawner.ledger.pool.end_texts import END_TEXTS

STATES: dict[str, str] = {
    "starting": "Starting",
    "running": "Running",
    "stopping": "Stopping",
    "ended": "Ended",
}
ENDS: dict[str, str] = {reason.value: text.short for reason, text in END_TEXTS.items()}
"""By the value of an end reason. The desk translates the words."""
PAID_STATES: dict[str, str] = {
    "intended": "Starting",
    "creating": "Starting",
    "unknown": "Checking whether it was created",
    "active": "Running",
    "recovered": "Found running",
    "stopping": "Stopping",
    "stopped": "Stopped",
    "deleting": "Deleting",
    "gone": "Deleted",
    "rejected": "Not created",
}
"""By the state of an order."""


def flavor_titles(catalog: Catalog, language: str) -> Mapping[str, str]:
    """The title of each flavor by each of its ids. What the catalog does not have any more is shown by its id."""
    return _titles(catalog.flavors, language)


def image_titles(catalog: Catalog, language: str) -> Mapping[str, str]:
    """The title of each image by each of its ids."""
    return _titles(catalog.images, language)


def _titles(items: Iterable[Flavor | Image], language: str) -> dict[str, str]:
    return {
        item_id: one.title.in_language(language) for one in items for item_id in (one.id, *getattr(one, "formerly", ()))
    }
