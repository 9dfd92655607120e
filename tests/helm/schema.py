"""The parts `catalog` and `people` of the chart's values.schema.json are those of the models themselves.

`python -m tests.helm.schema` writes it there after a change of the model; a test fails where that was forgotten.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spawner.catalog import Catalog
from spawner.people_settings import PeopleSettings

FILE = Path(__file__).parents[2] / "helm" / "values.schema.json"


def catalog_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of `catalog`, and the definitions that it refers to."""
    whole: dict[str, Any] = _plain(Catalog.model_json_schema())
    definitions = whole.pop("$defs")
    return whole, definitions | people_schema()[1]


def people_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of `people`, and the definitions that it refers to."""
    whole: dict[str, Any] = _plain(PeopleSettings.model_json_schema())
    definitions = whole.pop("$defs")
    return whole, definitions


def _plain(part: Any) -> Any:
    """Without the titles and defaults that pydantic adds, and in the form that older validators accept."""
    if isinstance(part, list):
        return [_plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "properties" in part:
        named = {name: _plain(value) for name, value in part["properties"].items()}
        return {"properties": named} | _plain({key: value for key, value in part.items() if key != "properties"})
    return {key: _plain(value) for key, value in part.items() if key not in {"title", "default"}}


def main() -> None:
    """Write both parts."""
    schema = json.loads(FILE.read_text())
    schema["properties"]["catalog"], schema["$defs"] = catalog_schema()
    schema["properties"]["people"], _ = people_schema()
    FILE.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
