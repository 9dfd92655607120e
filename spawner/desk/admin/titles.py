"""Titles of flavors and images by id, for administrators. Whatever the catalog has no more is shown by its id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spawner.catalog import Catalog, Flavor, Image


def flavor_title(catalog: Catalog, flavor_id: str, language: str) -> str:
    """The title of one flavor; its id where the catalog does not have it any more."""
    return flavor_titles(catalog, language).get(flavor_id, flavor_id)


def flavor_titles(catalog: Catalog, language: str) -> Mapping[str, str]:
    """The title of each flavor by each of its ids."""
    return _titles(catalog.flavors, language)


def image_titles(catalog: Catalog, language: str) -> Mapping[str, str]:
    """The title of each image by each of its ids."""
    return _titles(catalog.images, language)


def _titles(items: Iterable[Flavor | Image], language: str) -> dict[str, str]:
    return {
        item_id: one.title.in_language(language) for one in items for item_id in (one.id, *getattr(one, "formerly", ()))
    }
