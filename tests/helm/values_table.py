"""docs/values.md: all values of the chart, with their defaults, from values.yaml, its comments and its schema.

`python -m tests.helm.values_table` writes the page after a change of either; a test fails where that was forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import yaml

from tests.helm.chart import CHART
from tests.helm.schema import COMPONENTS, FILE, pod_fields
from tests.stack import PROJECT

PAGE = PROJECT / "docs" / "values.md"
LONGEST_DEFAULT = 60
AS_A_WHOLE = ("catalog", "catalogOverrides", "people")
"""Sections that have a page of their own."""
HEAD = """# Values of the chart

Made by `python -m tests.helm.values_table` from [helm/values.yaml](../helm/values.yaml) and its schema: change those.
[kubernetes.md](kubernetes.md) goes through what an installation needs.
"""


def page() -> str:
    """The whole page."""
    text = (CHART / "values.yaml").read_text()
    values, schema = yaml.safe_load(text), json.loads(FILE.read_text())
    parts = [HEAD, "## Fields of pods\n", _comment_of_pods(text), _table(_rows(pod_fields(), None, ""))]
    for name, value in values.items():
        parts += [f"## {name}\n", _comment(text, name), _table(_section(name, value, schema["properties"][name]))]
    return "\n".join(part for part in parts if part)


def _section(name: str, value: Any, part: dict[str, Any]) -> Iterator[str]:
    if name in AS_A_WHOLE or "properties" not in part:
        yield _row(name, value, part)
    else:
        yield from _rows(part["properties"], value, name)


def _rows(properties: dict[str, Any], values: Any, path: str) -> Iterator[str]:
    of_pods = pod_fields() if path in COMPONENTS else {}
    for name, part in properties.items():
        here = f"{path}.{name}" if path else name
        if part.get("deprecated") or name in of_pods:
            continue
        if "properties" in part and values is not None:
            yield from _rows(part["properties"], values[name], here)
        else:
            yield _row(here, None if values is None else values[name], part, has_default=values is not None)
    if of_pods:
        asks = values["resources"]["requests"]
        size = ", ".join(f"{name} {amount}" for name, amount in asks.items())
        yield f"| `{path}.resources` and others | requests {size} | [fields of pods](#fields-of-pods) |"


def _row(path: str, value: Any, part: dict[str, Any], *, has_default: bool = True) -> str:
    written = json.dumps(value, ensure_ascii=False)
    default = f"`{written}`" if len(written) <= LONGEST_DEFAULT else "see values.yaml"
    if isinstance(value, str) and not value:
        default = "none"
    description = str(part["description"]).replace("|", "\\|")
    return f"| `{path}` | {default if has_default else ''} | {description} |"


def _table(rows: Iterator[str]) -> str:
    return "| value | default | |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _comment(text: str, name: str) -> str:
    """The comment above a section of values.yaml, as Markdown; its indented lines are examples."""
    before = text.partition(f"\n{name}:")[0].splitlines()
    above = list(takewhile(lambda line: line.startswith("#"), reversed(before)))
    return _markdown(above[::-1])


def _comment_of_pods(text: str) -> str:
    """The second paragraph of the comment at the top of values.yaml."""
    return _markdown(text.partition("\n#\n")[2].partition("\n\n")[0].splitlines())


def _markdown(comment: list[str]) -> str:
    lines: list[str] = []
    for line in comment:
        said = line.removeprefix("#").removeprefix(" ")
        is_example, was_example = said.startswith("  "), bool(lines) and lines[-1].startswith("    ")
        if is_example != was_example and lines:
            lines.append("")
        lines.append(f"  {said}" if is_example else said)
    return "\n".join(lines) + "\n" if lines else ""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
