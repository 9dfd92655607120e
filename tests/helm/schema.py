"""Parts of the chart's values.schema.json that follow from something else.

`catalog` and `people` are those of the models themselves, and each component takes the same fields of a pod.
`python -m tests.helm.schema` writes them there after a change; a test fails where that was forgotten.
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


def overrides_schema() -> dict[str, Any]:
    """The schema of `catalogOverrides`: entries by id, with the fields that they have in the catalog, or null."""
    _, definitions = catalog_schema()
    named = {
        "flavors": "Flavor", "images": "Image", "examples": "Example", "models": "Model", "classes": "AllowanceClass",
    }  # fmt: skip

    def entries(kind: str) -> dict[str, Any]:
        fields = {
            name: _changed(field) for name, field in definitions[named[kind]]["properties"].items() if name != "id"
        }
        entry = {"type": ["object", "null"], "additionalProperties": False, "properties": fields}
        where = "catalog.allowances.classes" if kind == "classes" else f"catalog.{kind}"
        return {"type": ["object", "null"], "description": f"Changes of {where}.", "additionalProperties": entry}

    return {
        "type": "object",
        "description": "Changes of single entries of the catalog's lists, by id. A null removes a field, or an entry.",
        "additionalProperties": False,
        "properties": {kind: entries(kind) for kind in named},
    }


def _changed(field: dict[str, Any]) -> dict[str, Any]:
    """What may stand in place of a field: a null, too. A mapping changes some of its keys: the check Job checks it."""
    if "$ref" in json.dumps(field):
        return {}
    plain = {key: value for key, value in field.items() if key != "description"}
    null = {"type": "null"}
    return plain if null in plain.get("anyOf", []) else {"anyOf": [plain, null]}


COMPONENTS = (
    "hub", "desk", "steward", "proxy", "database.embedded", "backup", "check", "imagePuller", "models.pull",
)  # fmt: skip
"""Paths of the values whose pods take the fields of `pod_fields`."""


def pod_fields() -> dict[str, Any]:
    """What the values of each component may say about its pods."""

    def objects(description: str, *required: str) -> dict[str, Any]:
        items = {"type": "object", "required": list(required)} if required else {"type": "object"}
        return {"type": "array", "description": description, "items": items}

    def words(description: str, *types: str) -> dict[str, Any]:
        allowed = list(types) if len(types) > 1 else "string"
        return {"type": "object", "description": description, "additionalProperties": {"type": allowed}}

    return {
        "extraEnv": objects("More environment variables of its container, as Kubernetes has them.", "name"),
        "extraVolumes": objects("More volumes of the pod.", "name"),
        "extraVolumeMounts": objects("Where its container sees them.", "name", "mountPath"),
        "extraContainers": objects(
            "More containers of the pod, after its own. They meet Pod Security as you write them.", "name", "image"
        ),
        "extraInitContainers": objects(
            "More init containers, before its own. One with restartPolicy: Always runs beside the others.",
            "name", "image",
        ),
        "resources": {
            "type": "object",
            "description": "Requests and limits of the container.",
            "additionalProperties": False,
            "properties": {
                "requests": words("What is set aside.", "string", "number"),
                "limits": words("The most it may use.", "string", "number"),
            },
        },
        "nodeSelector": words("Labels that a node must carry."),
        "tolerations": objects("Taints that are tolerated."),
        "affinity": {"type": "object", "description": "A pod's affinity, as Kubernetes has it."},
        "topologySpreadConstraints": objects("How pods spread, as Kubernetes has it."),
        "podLabels": words("More labels of the pods."),
        "podAnnotations": words("More annotations of the pods."),
    }  # fmt: skip


def part_of(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The properties of the values at a path."""
    for name in path.split("."):
        schema = schema["properties"][name]
    properties: dict[str, Any] = schema["properties"]
    return properties


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
    """Write the parts."""
    schema = json.loads(FILE.read_text())
    schema["properties"]["catalog"], schema["$defs"] = catalog_schema()
    schema["properties"]["catalogOverrides"] = overrides_schema()
    schema["properties"]["people"], _ = people_schema()
    for path in COMPONENTS:
        part_of(schema, path).update(pod_fields())
    FILE.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
