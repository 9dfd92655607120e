"""An image that has another id: what named it by the one of before still means it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from spawner.catalog import load_catalog
from spawner.errors import CatalogInvalid
from spawner.pool.options import choose
from tests.stack import PROJECT

CATALOG = load_catalog(PROJECT / "hub_config/catalog.yaml")


def write(path: Path, **changes: object) -> Path:
    data = yaml.safe_load((PROJECT / "hub_config/catalog.yaml").read_text())
    file = path / "catalog.yaml"
    file.write_text(yaml.safe_dump(data | changes, allow_unicode=True))
    return file


def test_a_request_by_the_old_name_gives_the_image_of_today() -> None:
    assert choose(CATALOG, {"image": "torch"}).image.id == "cpu"
    assert choose(CATALOG, {"image": "torch", "example": "first-model"}).to_options()["image"] == "cpu"
    assert choose(CATALOG, {"example": "first-model"}).image.id == "cpu"


def test_a_catalog_that_names_it_by_the_old_name_means_it(tmp_path: Path) -> None:
    data = yaml.safe_load((PROJECT / "hub_config/catalog.yaml").read_text())
    flavors = [{**one, "warm": [{"image": "torch", "ceiling": 1}]} for one in data["flavors"]]
    examples = [{**one, "image": "torch"} for one in data["examples"]]
    policies = [{"for": "everybody", "images": ["light", "torch"]}]
    defaults = {**data["defaults"], "image": "torch"}
    changed = {"flavors": flavors, "examples": examples, "policies": policies, "defaults": defaults}
    found = load_catalog(write(tmp_path, **changed))
    assert found.policies[0].images == ("light", "cpu")
    assert {rule.image for flavor in found.flavors for rule in flavor.warm} == {"cpu"}
    assert ({example.image for example in found.examples}, found.defaults.image) == ({"cpu"}, "cpu")
    short = [{**one, "warm": {"image": "torch", "ceiling": 1}} for one in data["flavors"]]
    assert load_catalog(write(tmp_path, flavors=short)).flavors[0].warm[0].image == "cpu"


def test_an_id_that_is_used_is_not_one_of_before(tmp_path: Path) -> None:
    images = yaml.safe_load((PROJECT / "hub_config/catalog.yaml").read_text())["images"]
    images[0]["formerly"] = ["cpu"]
    with pytest.raises(CatalogInvalid, match=r"images\[0\]\.formerly\[0\]: cpu is the id of an image"):
        load_catalog(write(tmp_path, images=images))
