"""Who may use what: the union of all policies for a person, and the most generous of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Catalog, Membership, Rights, load_catalog, rights_of
from spawner.errors import CatalogInvalid
from spawner.pool.policies import refusal_of
from tests.stack import PROJECT
from tests.unit import make
from tests.unit.make import quick

FLAVORS, IMAGES, GROUPS = ("small", "large"), ("cpu", "torch"), ("a", "b", "c")
EVERYTHING = [{"for": "everybody", "flavors": list(FLAVORS), "images": list(IMAGES)}]


def catalog(policies: list[dict[str, Any]], **queue: Any) -> Catalog:
    flavors = [make.flavor(name, session_minutes=100) for name in FLAVORS]
    return make.catalog(*flavors, queue=queue, policies=policies)


def rights(policies: list[dict[str, Any]], *groups: str, **queue: Any) -> Rights:
    return rights_of(catalog(policies, **queue), Membership(frozenset(groups)))


def usable(found: Rights) -> tuple[set[str], set[str]]:
    return (
        {name for name in FLAVORS if found.flavor(name) is None},
        {name for name in IMAGES if found.image(name) is None},
    )


some = st.one_of(st.none(), st.lists(st.sampled_from(FLAVORS), min_size=1, unique=True))
policy = st.fixed_dictionaries(
    {
        "for": st.one_of(
            st.just("everybody"), st.lists(st.sampled_from(GROUPS), min_size=1).map(lambda g: {"groups": g})
        )
    },
    optional={
        "flavors": st.lists(st.sampled_from(FLAVORS), min_size=1, unique=True),
        "images": st.lists(st.sampled_from(IMAGES), min_size=1, unique=True),
        "queue_weight": st.floats(0.1, 10),
        "session_minutes": st.integers(1, 1000),
    },
).filter(lambda one: len(one) > 1)
policies = st.lists(policy, max_size=5)
groups = st.sets(st.sampled_from(GROUPS))


# Properties


@quick
@given(policies, groups, groups)
def test_in_several_groups_a_user_has_all_that_each_of_them_gives(
    rules: list[dict[str, Any]], first: set[str], second: set[str]
) -> None:
    both = usable(rights(rules, *first, *second))
    alone = usable(rights(rules, *first)), usable(rights(rules, *second))
    assert both == (alone[0][0] | alone[1][0], alone[0][1] | alone[1][1])


@quick
@given(policies, groups, groups)
def test_values_are_the_largest_that_a_policy_for_the_user_says(
    rules: list[dict[str, Any]], first: set[str], second: set[str]
) -> None:
    found = rights(rules, *first)
    for flavor in found.catalog.flavors:
        of_user = [
            one
            for one in rules
            if (one["for"] == "everybody" or first & set(one["for"]["groups"]))
            and flavor.id in one.get("flavors", FLAVORS)
        ]
        minutes = [one["session_minutes"] for one in of_user if "session_minutes" in one]
        weights = [one["queue_weight"] for one in of_user if "queue_weight" in one]
        assert found.session_minutes(flavor) == (max(minutes) if minutes else 100)
        assert found.queue_weight(flavor.id) == (max(weights) if weights else 1.0)
        if minutes:
            assert rights(rules, *first, *second).session_minutes(flavor) >= max(minutes)


@quick
@given(policies, groups)
def test_a_refusal_names_the_groups_that_would_allow_it_and_no_others(
    rules: list[dict[str, Any]], mine: set[str]
) -> None:
    found = rights(rules, *mine)
    for flavor in FLAVORS:
        denial = found.flavor(flavor)
        if denial is not None:
            would = {group for group in GROUPS if rights(rules, *mine, group).flavor(flavor) is None}
            assert set(denial.groups) == would


@quick
@given(st.permutations([0, 1, 2]), policies.filter(lambda rules: len(rules) == 3), groups)
def test_the_order_of_policies_does_not_matter(order: list[int], rules: list[dict[str, Any]], mine: set[str]) -> None:
    assert usable(rights([rules[number] for number in order], *mine)) == usable(rights(rules, *mine))


# Rules, one by one


def test_without_policies_everything_is_for_everybody() -> None:
    found = rights([])
    assert usable(found) == (set(FLAVORS), set(IMAGES))
    assert found.session_minutes(found.catalog.flavor("small")) == 100


def test_in_no_group_a_user_has_what_is_for_everybody() -> None:
    rules = [{"for": "everybody", "flavors": ["small"]}, {"for": {"groups": ["a"]}, "flavors": ["large"]}]
    assert usable(rights(rules)) == ({"small"}, set(IMAGES))
    assert usable(rights(rules, "a")) == (set(FLAVORS), set(IMAGES))


def test_images_are_not_limited_by_policies_that_name_flavors_only() -> None:
    assert usable(rights([{"for": {"groups": ["a"]}, "flavors": list(FLAVORS)}])) == (set(), set(IMAGES))


def test_a_value_holds_for_the_flavors_of_its_policy() -> None:
    rules = [
        *EVERYTHING,
        {"for": {"groups": ["a"]}, "flavors": ["large"], "session_minutes": 30, "queue_weight": 4},
        {"for": {"groups": ["b"]}, "session_minutes": 200},
    ]
    found = rights(rules, "a")
    small, large = (found.catalog.flavor(name) for name in FLAVORS)
    assert [found.session_minutes(flavor) for flavor in (small, large)] == [100, 30]
    assert [found.queue_weight(flavor) for flavor in FLAVORS] == [1, 4]
    assert [rights(rules, "a", "b").session_minutes(flavor) for flavor in (small, large)] == [200, 200]


@pytest.mark.parametrize(
    ("mine", "weight"),
    [((), 1), (("strangers",), 1), (("class",), 2), (("penalty",), 0.5), (("class", "penalty"), 2), (("a",), 3)],
)
def test_weights_of_the_queue_and_of_policies_count_together(mine: tuple[str, ...], weight: float) -> None:
    rules = [{"for": {"groups": ["a"]}, "queue_weight": 3}]
    assert rights(rules, *mine, weights={"class": 2, "penalty": 0.5}).queue_weight("small") == weight


def test_an_example_needs_its_image_and_one_flavor_with_enough_memory() -> None:
    def denied(rules: list[dict[str, Any]], *mine: str) -> tuple[str, tuple[str, ...]] | None:
        found = rights(rules, *mine)
        denial = found.example(found.catalog.example("ocr"))  # needs torch, and little memory
        return None if denial is None else (denial.kind, denial.groups)

    images = [{"for": "everybody", "images": ["cpu"]}, {"for": {"groups": ["a"]}, "images": ["torch"]}]
    assert denied(images) == ("image", ("a",))
    assert denied(images, "a") is None
    flavors = [{"for": {"groups": [name]}, "flavors": [flavor]} for name, flavor in zip("bc", FLAVORS, strict=True)]
    assert denied(flavors) == ("flavor", ("b", "c"))
    assert denied(flavors, "b") is None, "one flavor is enough"


def test_the_refusal_names_the_groups_in_words_and_as_facts() -> None:
    many = [f"g{number}" for number in range(7)]
    rules = [{"for": "everybody", "images": ["cpu"]}, {"for": {"groups": many}, "images": ["torch"]}]
    denial = rights(rules).image("torch")
    assert denial is not None
    refusal = refusal_of(denial)
    assert refusal.message == "The image torch is only for the groups g0, g1, g2, g3, g4 …."
    assert (refusal.status, refusal.code, refusal.facts) == (403, "not_for_you", {"image": "torch", "groups": many})


# In the catalog's file


def mistakes(folder: Path, *rules: Any) -> list[str]:
    data = yaml.safe_load((PROJECT / "hub_config" / "catalog.yaml").read_text())
    file = folder / "catalog.yaml"
    file.write_text(yaml.safe_dump({**data, "policies": list(rules)}, sort_keys=False))
    with pytest.raises(CatalogInvalid) as caught:
        load_catalog(file)
    lines = file.read_text().splitlines()
    for mistake in caught.value.mistakes:
        assert 0 < int(mistake.split()[1].rstrip(":")) <= len(lines)
    return [mistake.split(": ", 1)[1] for mistake in caught.value.mistakes]


ALL_FLAVORS = {"for": "everybody", "flavors": ["cpu-basic", "cpu-large", "gpu-24g"]}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"for": "staff", "queue_weight": 2}, "must be everybody, or such as {groups: [staff]}"),
        ({"for": {"groups": "staff"}, "queue_weight": 2}, "must be a list, such as [staff]"),
        ({"for": {"groups": [7]}, "queue_weight": 2}, "7 is a number: put it in quotes"),
        ({"for": {"groups": [" "]}, "queue_weight": 2}, "' ' is not a valid group name"),
        ({"for": {}, "queue_weight": 2}, "must name either groups or everybody"),
        ({"for": {"group": ["a"]}, "queue_weight": 2}, "for.group: is not known. Did you mean groups?"),
        ({"queue_weight": 2}, "for: is missing. Add it."),
        ({"for": "everybody"}, "gives nothing: add flavors, images, queue_weight, session_minutes or allowances"),
        ({"for": "everybody", "flavor": ["cpu-basic"]}, "flavor: is not known. Did you mean flavors?"),
        ({"for": "everybody", "queue_weight": 0}, "queue_weight: input should be greater than 0"),
        (
            {"for": "everybody", "session_minutes": 10**6},
            "session_minutes: input should be less than or equal to 10080",
        ),
        (
            {"for": "everybody", "images": ["nope", "light", "torch"]},
            "images[0]: 'nope' does not exist. Available: ",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_next_step(tmp_path: Path, rule: dict[str, Any], said: str) -> None:
    found = mistakes(tmp_path, ALL_FLAVORS, rule)
    assert len(found) == 1
    assert found[0].startswith("policies[1]")
    assert said in found[0]


def test_a_flavor_that_no_policy_gives_is_a_mistake(tmp_path: Path) -> None:
    """Else a new flavor would be for nobody, or for everybody, without anybody's having said so."""
    assert mistakes(tmp_path, {"for": "everybody", "flavors": ["cpu-basic", "cpu-large"]}) == [
        "flavors[2].id: 'gpu-24g' is given to nobody: policies name other flavors. Add it to the flavors of a policy, "
        "such as one with for: everybody."
    ]


def test_names_of_groups_are_compared_as_the_login_reads_them(tmp_path: Path) -> None:
    decomposed = "gruppe-a\u0308"
    found = rights([{"for": {"groups": [f" {decomposed} "]}, "flavors": list(FLAVORS)}], "gruppe-ä")
    assert usable(found)[0] == set(FLAVORS)
