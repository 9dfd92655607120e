"""What an example needs, which machine types fit it, and which of its models would be downloaded first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from spawner.catalog import Catalog, Example, Model
from spawner.desk.i18n import Translations
from spawner.desk.user.views import DownloadView, ExampleView, NeedsView
from spawner.instance.model_links import Stamp, stamp
from spawner.models.store import Store, expected_seconds
from spawner.pool.fits import lacks, needs_of, resources_of
from spawner.settings import Settings


@dataclass(frozen=True)
class MissingModel:
    """A model that is not in the cache: bytes, and seconds of a download where they are known."""

    repository: str
    bytes: int
    seconds: int | None


@dataclass(frozen=True)
class MissingModels:
    """Models of the catalog that are known not to be in the cache, by id. `key` changes with what is there."""

    by_id: Mapping[str, MissingModel] = field(default_factory=dict)
    key: str = ""

    def of(self, example: Example) -> list[MissingModel]:
        """Those that an example needs."""
        return [self.by_id[one] for one in example.models if one in self.by_id]


NONE = MissingModels()


def missing_models(catalog: Catalog, settings: Settings) -> MissingModels:
    """Look into the cache. A volume of a cluster cannot be looked into, so there no model counts as missing."""
    pool = settings.kubernetes
    if not catalog.models or (pool is not None and (pool.models_claim or pool.models_image)):
        return NONE
    folder = settings.models if pool is None else None
    return _look(catalog.models, folder, stamp(folder) if folder else ())


@lru_cache(maxsize=4)
def _look(models: tuple[Model, ...], folder: Path | None, there: Stamp) -> MissingModels:
    """Read once for all users, until something else is `there`."""
    store = Store(folder) if folder is not None else None
    pulls = store.pulls() if store else []
    missing = {
        model.id: MissingModel(model.repository, int(model.size), expected_seconds(model, pulls))
        for model in models
        if store is None or not store.has(model)
    }
    return MissingModels(missing, repr(there))


def example_view(
    example: Example,
    catalog: Catalog,
    texts: Translations,
    base: str,
    *,
    reason: str | None,
    remedy: str | None,
    missing: MissingModels,
) -> ExampleView:
    """`reason`: why its image is not there. `remedy`: how it could be."""
    lacking = missing.of(example)
    download = sum(one.bytes for one in lacking)
    seconds = [one.seconds for one in lacking if one.seconds is not None]
    needs = needs_of(example, download=download)
    return ExampleView(
        id=example.id,
        title=example.title.in_language(texts.language),
        summary=example.summary.in_language(texts.language),
        path=f"examples/{example.path_in(texts.language)}",
        image=example.image,
        seconds=needs.seconds,
        icon=f"{base}icons/{quote(example.id)}.svg",
        available=reason is None,
        reason=reason,
        remedy=remedy,
        needs=NeedsView(
            memory_bytes=needs.memory,
            disk_bytes=needs.disk,
            accelerator_memory_bytes=needs.gpu_memory,
        ),
        fits=[flavor.id for flavor in catalog.flavors if not lacks(needs, resources_of(flavor))],
        download=DownloadView(
            models=[one.repository for one in lacking],
            bytes=download,
            seconds=sum(seconds) if len(seconds) == len(lacking) else None,
        )
        if lacking
        else None,
    )
