"""The pool's quota and limits are the catalog's: all instances that it allows fit, and little more."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ByteSize, TypeAdapter

from spawner.catalog import Catalog, Flavor
from spawner.pool.backends.kubernetes.manifest import resources
from tests.helm.chart import CHART, RELEASE, VALUE_SETS, manifest_of, of_kind, render
from tests.unit.make import quick

MIB, GIB = 1024**2, 1024**3
UNITS = {"m": Decimal("0.001"), "": Decimal(1), "Ki": 1024, "Mi": MIB, "Gi": GIB}
SHIPPED = yaml.safe_load((CHART / "values.yaml").read_text())["catalog"]


def number(quantity: object) -> Decimal:
    """A quantity as Kubernetes writes it."""
    text = str(quantity)
    digits = text.rstrip("mKiMG")
    return Decimal(digits) * UNITS[text[len(digits) :]]


def pod_of(flavor: Flavor) -> dict[str, Decimal]:
    """Requests and limits of one pod of a flavor, as the pool sets them."""
    requests, most = resources(flavor)
    asks = {f"requests.{name}": number(amount) for name, amount in requests.items()}
    asks |= {f"limits.{name}": number(most[name]) for name in ("cpu", "memory", "ephemeral-storage")}
    return asks | {"pods": Decimal(1)}


def hard_of(catalog: dict[str, Any], **pool: Any) -> dict[str, Decimal]:
    manifests = render({"catalog": catalog, "pool": pool})
    return {
        name: number(value) for name, value in manifest_of(manifests, "ResourceQuota", RELEASE)["spec"]["hard"].items()
    }


def total(catalog: dict[str, Any], counts: dict[str, int]) -> Counter[str]:
    """The sum of so many pods of each flavor."""
    sum_of: Counter[str] = Counter()
    for flavor in Catalog.model_validate(catalog).flavors:
        for name, amount in pod_of(flavor).items():
            sum_of[name] += amount * counts[flavor.id]  # type: ignore[assignment]
    return sum_of


def limits(catalog: dict[str, Any]) -> dict[str, int]:
    return {flavor.id: flavor.limit for flavor in Catalog.model_validate(catalog).flavors}


SIZE = TypeAdapter(ByteSize).validate_python
sizes = st.one_of(
    st.integers(1, 2000).map("{}MiB".format),
    st.integers(1, 256).map("{}GiB".format),
    st.integers(1, 64).map("{}GB".format),
    st.sampled_from(["1.5GiB", "0.5gib", " 2 GiB", "750mb", "1TiB", "512M", "4g"]),
    st.integers(MIB, 64 * GIB),
)


@st.composite
def flavors(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for index in range(draw(st.integers(1, 4))):
        flavor: dict[str, Any] = {
            "id": f"flavor-{index}",
            "title": {"en": "A", "zh": "甲"},
            "summary": {"en": "A", "zh": "甲"},
            "cpu": draw(st.one_of(st.integers(1, 256), st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.5, 2.333]))),
            "memory": draw(sizes),
            "disk": draw(sizes),
        }
        if draw(st.booleans()):
            flavor["limit"] = draw(st.integers(0, 5000))
        if draw(st.booleans()):
            flavor["reserve"] = draw(st.one_of(st.none(), sizes))
            if flavor["reserve"] is not None and SIZE(flavor["reserve"]) > SIZE(flavor["memory"]):
                flavor["reserve"], flavor["memory"] = flavor["memory"], flavor["reserve"]
        if draw(st.booleans()):
            flavor["accelerator"] = {"name": "A", "memory": "24GiB"}
            if draw(st.booleans()):
                flavor["accelerator"]["count"] = draw(st.integers(1, 16))
            if draw(st.booleans()):
                flavor["accelerator"]["resource"] = draw(st.sampled_from(["amd.com/gpu", "huawei.com/Ascend910"]))
        found.append(flavor)
    return found


@quick
@given(flavors())
def test_the_quota_admits_every_flavor_at_its_limit(made: list[dict[str, Any]]) -> None:
    catalog = SHIPPED | {"flavors": made, "defaults": {"flavor": "flavor-0", "image": "light"}}
    hard, needed = hard_of(catalog), total(catalog, limits(catalog))
    assert set(hard) == set(needed)
    for name, amount in needed.items():
        assert amount <= hard[name], name


@quick
@given(flavors())
def test_one_of_each_flavor_fits_the_limit_range(made: list[dict[str, Any]]) -> None:
    catalog = SHIPPED | {"flavors": made, "defaults": {"flavor": "flavor-0", "image": "light"}}
    (limit,) = manifest_of(render({"catalog": catalog}), "LimitRange", RELEASE)["spec"]["limits"]
    pods = [pod_of(flavor) for flavor in Catalog.model_validate(catalog).flavors]
    for name, most in limit["max"].items():
        largest = max(pod[f"limits.{name}"] for pod in pods)
        assert largest <= number(most) <= largest + MIB, name
    for name in ("default", "defaultRequest"):
        assert all(number(limit[name][what]) <= number(most) for what, most in limit["max"].items())


def test_the_quota_is_the_catalogs_with_a_tenth_more() -> None:
    """10 %, and at least 2 pods of each flavor, because pods that are being deleted still count."""
    counts = {name: limit + max(2, math.ceil(limit / 10)) if limit else 0 for name, limit in limits(SHIPPED).items()}
    assert counts == {"cpu-basic": 22, "cpu-large": 6, "gpu-24g": 0}
    assert hard_of(SHIPPED) == total(SHIPPED, counts)


def test_no_headroom_means_exactly_the_limits() -> None:
    assert hard_of(SHIPPED, quota={"headroomPercent": 0, "headroomPods": 0}) == total(SHIPPED, limits(SHIPPED))


def test_accelerators_are_counted() -> None:
    (quota,) = of_kind(render(VALUE_SETS["gpu"]), "ResourceQuota")
    assert quota["spec"]["hard"]["requests.nvidia.com/gpu"] == str((4 + 2) * 2)


@pytest.mark.parametrize(("name", "value"), [("pods", "3"), ("count/services", "0")])
def test_a_configured_number_replaces_the_computed_one(name: str, value: str) -> None:
    (quota,) = of_kind(render(VALUE_SETS["as much as possible"]), "ResourceQuota")
    assert quota["spec"]["hard"][name] == value
