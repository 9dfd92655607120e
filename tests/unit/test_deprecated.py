"""Fields by their names of version 0.1 have the value of the field that replaced them, and are marked deprecated."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from spawner.desk.admin.views import AdminFlavorView, SlotsView, UserNamespacesView
from spawner.desk.paid.admin_views import AdminRunView
from spawner.desk.paid.api import QuoteView
from spawner.desk.paid.views import ConsentView, PaidInstanceView

NAMESPACES = UserNamespacesView(enabled=True, text="", details="", until=None)
RENAMED: list[tuple[type[BaseModel], str, str, Any, Any]] = [
    (SlotsView, "lent", "assigned", 3, 3),
    (UserNamespacesView, "own", "enabled", True, True),
    (AdminFlavorView, "users", "user_namespaces", NAMESPACES, NAMESPACES.model_dump()),
    (PaidInstanceView, "shape", "instance_type", "ecs.g6.large", "ecs.g6.large"),
    (ConsentView, "shape", "instance_type", "ecs.g6.large", "ecs.g6.large"),
    (QuoteView, "shape", "instance_type", "ecs.g6.large", "ecs.g6.large"),
    (AdminRunView, "shape", "instance_type", "ecs.g6.large", "ecs.g6.large"),
]


@pytest.mark.parametrize(
    ("model", "old", "new", "value", "written"), RENAMED, ids=lambda one: getattr(one, "__name__", "")
)
def test_an_old_field_has_the_value_of_the_new_one(
    model: type[BaseModel], old: str, new: str, value: Any, written: Any
) -> None:
    assert model.model_construct(**{new: value}).model_dump(include={old, new}) == {old: written, new: written}
    properties = model.model_json_schema(mode="serialization")["properties"]
    assert properties[old]["deprecated"] is True
    assert "deprecated" not in properties[new]
