"""What the desk says of an example before the click: which machine types fit, and what would be downloaded first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spawner.catalog import Accelerator, Catalog, Example, Model, Needs
from spawner.desk.i18n import load_translations
from spawner.desk.user.example_view import MissingModels, example_view, missing_models
from spawner.models.measure import Measured, differences
from spawner.pool.fits import Lack, lacks, needs_of, resources_of
from spawner.settings import KubernetesPool, Settings
from tests.models.made import make_store
from tests.unit import make
from tests.unit.make import GIB

MIB = 1024**2
TINY = Model.model_validate(
    {"id": "tiny", "source": "modelscope", "repository": "Qwen/Tiny1.5", "size": "1GiB", "licence": "MIT",
     "also_for": ["huggingface"]}
)  # fmt: skip


def example(**needs: Any) -> Example:
    given = make.catalog().examples[0]
    return given.model_copy(update={"needs": Needs(**{"memory": MIB, "seconds": 5, **needs}), "models": ("tiny",)})


@pytest.mark.parametrize(
    ("needs", "download", "expected"),
    [
        ({}, 0, ()),
        ({"memory": 2 * GIB}, 0, ()),
        ({"memory": 2 * GIB + 1}, 0, (Lack.MEMORY,)),
        ({"disk": GIB}, 0, ()),
        ({"disk": GIB}, 1, (Lack.DISK,)),
        ({}, GIB + 1, (Lack.DISK,)),
        ({"seconds": 3601}, 0, (Lack.TIME,)),
        ({"accelerator_memory": GIB}, 0, (Lack.GPU,)),
        ({"accelerator_memory": GIB, "memory": 3 * GIB}, 0, (Lack.GPU, Lack.MEMORY)),
    ],
)
def test_an_example_fits_a_machine_type_that_has_all_it_needs(
    needs: dict[str, int], download: int, expected: tuple[Lack, ...]
) -> None:
    flavor = make.flavor(memory=2 * GIB, disk=GIB).model_copy(update={"session_minutes": 60})
    assert lacks(needs_of(example(**needs), download=download), resources_of(flavor)) == expected


@pytest.mark.parametrize(("memory", "expected"), [(24, ()), (25, (Lack.GPU_MEMORY,))])
def test_one_accelerator_has_enough_memory(memory: int, expected: tuple[Lack, ...]) -> None:
    gpu = Accelerator.model_validate({"name": "A10", "count": 2, "memory": "24GiB"})
    flavor = make.flavor(memory=2 * GIB, disk=GIB).model_copy(update={"accelerator": gpu})
    assert lacks(needs_of(example(accelerator_memory=memory * GIB)), resources_of(flavor)) == expected


def catalog(**needs: Any) -> Catalog:
    flavors = [make.flavor("small", memory=2 * GIB, disk=GIB), make.flavor("large", memory=4 * GIB, disk=4 * GIB)]
    given = make.catalog(*flavors)
    return given.model_copy(update={"models": (TINY,), "examples": (example(**needs),)})


def settings(tmp_path: Path, **changes: Any) -> Settings:
    fields = {"catalog": tmp_path, "state": tmp_path, "examples": tmp_path, "hub_config": None}
    del fields["hub_config"]
    return Settings.model_validate(fields | changes)


def view(found: Catalog, missing: MissingModels) -> Any:
    return example_view(
        found.examples[0],
        found,
        load_translations()["en"],
        "/services/desk/",
        reason=None,
        remedy=None,
        missing=missing,
    )


def test_a_missing_model_is_said_with_its_size_and_how_long_others_waited(tmp_path: Path) -> None:
    found, of = catalog(), settings(tmp_path, models=tmp_path / "models")
    shown = view(found, missing_models(found, of))
    assert (shown.download.models, shown.download.bytes, shown.download.seconds) == (["Qwen/Tiny1.5"], GIB, None)
    assert shown.fits == ["small", "large"]
    make_store(tmp_path / "models", model_id="other").note_pull(GIB, 64)
    assert view(found, missing_models(found, of)).download.seconds == 64
    assert view(catalog(disk=1), missing_models(found, of)).fits == ["large"], "the download needs room, too"
    make_store(tmp_path / "models")
    there = missing_models(found, of)
    assert view(found, there).download is None
    assert there.key != missing_models(found, settings(tmp_path, models=tmp_path / "other")).key


def test_without_a_cache_all_models_are_missing_and_in_a_volume_none_is_known_to_be(tmp_path: Path) -> None:
    found = catalog()
    assert missing_models(found, settings(tmp_path)).by_id.keys() == {"tiny"}
    pool = KubernetesPool(namespace="pool")
    assert missing_models(found, settings(tmp_path, kubernetes=pool)).by_id.keys() == {"tiny"}
    pool = KubernetesPool(namespace="pool", models_claim="models")
    assert missing_models(found, settings(tmp_path, kubernetes=pool)).by_id == {}


def test_a_measurement_says_what_to_write_and_what_is_promised_too_much() -> None:
    found = Measured(seconds=30.2, memory=650 * MIB, disk=25 * MIB, processor=12)
    assert found.needs() == "{memory: 800MiB, seconds: 31, disk: 30MiB}"
    assert differences(found, example(memory=700 * MIB, seconds=20, disk=30 * MIB)) == []
    assert differences(found, example(memory=600 * MIB, seconds=10)) == [
        "memory: 650 MiB, and the catalog says 600",
        "disk: 25 MiB, and the catalog says 0",
        "seconds: 12, and the catalog says 10",
    ]
