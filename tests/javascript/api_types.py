"""The types of the API for the desk's scripts, made from the OpenAPI document.

python -m tests.javascript.api_types  writes them to spawner/desk/static/shared/api.d.ts
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import spawner.desk
from spawner.desk.app import api_document

FILE = Path(spawner.desk.__file__).parent / "static" / "shared" / "api.d.ts"
COMMAND = "python -m tests.javascript.api_types"
HEADER = f"""// The API's requests and answers, made from the OpenAPI document, which describes them, by
//   {COMMAND}

"""
PRIMITIVES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def typescript(schema: dict[str, Any]) -> str:
    """A JSON schema as a TypeScript type. Raises KeyError at what pydantic's models here do not use."""
    match schema:
        case {"$ref": reference}:
            return str(reference).rpartition("/")[2]
        case {"enum": values}:
            return " | ".join(json.dumps(value) for value in values)
        case {"const": value}:
            return json.dumps(value)
        case {"anyOf": choices}:
            return " | ".join(typescript(choice) for choice in choices)
        case {"type": "array", "prefixItems": items}:
            return f"[{', '.join(typescript(item) for item in items)}]"
        case {"type": "array", "items": {"$ref": _} | {"type": _} as item}:
            return f"({typescript(item)})[]" if "enum" in item else f"{typescript(item)}[]"
        case {"additionalProperties": True, "type": "object"}:
            return "Record<string, unknown>"
        case {"type": "array", "items": item}:
            return f"({typescript(item)})[]"
        case {"type": "object", "additionalProperties": dict() as values}:
            return f"Record<string, {typescript(values)}>"
        case {"type": "object", "properties": _}:
            return fields(schema)
    return PRIMITIVES[schema["type"]]


def fields(schema: dict[str, Any]) -> str:
    """The properties of an object: those with a default are optional, deprecated ones are left out."""
    lines = [
        f"  {name}{'' if name in schema.get('required', []) else '?'}: {typescript(value)};"
        for name, value in schema["properties"].items()
        if not value.get("deprecated")
    ]
    return "\n".join(["{", *lines, "}"])


def api_types() -> str:
    """The text of the file: one type per schema of the document."""
    schemas = api_document(has_paid=True)["components"]["schemas"]
    return HEADER + "\n".join(
        f"export type {name} = {typescript(schema)};\n" for name, schema in sorted(schemas.items())
    )


if __name__ == "__main__":
    FILE.write_text(api_types(), encoding="utf-8")
