"""Whole lists, page by page: a list that may not be whole is an error, for "not listed" decides over money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from alibabacloud_pai_dsw20220101 import models as dsw

from spawner.paid.providers.dsw.errors import Translator

PAGE = 100
MAX_PAGES = 500
MAX_FILTER_LABELS = 4
"""By how many labels the cloud can filter."""
EVERYWHERE = "ALL"
"""Without this a list leaves out all workspaces but one, and what is not pay-as-you-go."""


class Caller(Protocol):
    """Sends a call and checks its answer."""

    translator: Translator

    def __call__(self, send: Callable[[Any, Any], Any]) -> Any:
        """The body."""
        ...


def instances(call: Caller, *, name: str | None = None, labels: Mapping[str, str] | None = None) -> list[Any]:
    """All instances of the account in the region; `name` is matched in part, and by the cloud."""
    few = dict(list((labels or {}).items())[:MAX_FILTER_LABELS])

    def page(number: int) -> Any:
        wanted = dsw.ListInstancesRequest(
            instance_name=name,
            labels=few or None,
            workspace_id=EVERYWHERE,
            resource_id=EVERYWHERE,
            sort_by="GmtCreateTime",
            order="ASC",
            page_number=number,
            page_size=PAGE,
        )
        return call(lambda client, time: client.list_instances_with_options(wanted, {}, time))

    return _whole(call, page, rows=lambda body: body.instances, key=lambda row: row.instance_id)


def specs(call: Caller) -> list[Any]:
    """The price list, of machines with accelerators and without."""
    found = []
    for kind in ("CPU", "GPU"):

        def page(number: int, kind: str = kind) -> Any:
            wanted = dsw.ListEcsSpecsRequest(accelerator_type=kind, page_number=number, page_size=PAGE)
            return call(lambda client, time: client.list_ecs_specs_with_options(wanted, {}, time))

        found += _whole(call, page, rows=lambda body: body.ecs_specs, key=lambda row: row.instance_type)
    return found


def _whole(
    call: Caller, page: Callable[[int], Any], *, rows: Callable[[Any], Any], key: Callable[[Any], Any]
) -> list[Any]:
    """All rows, each once. What goes meanwhile shifts the pages, and a row may slip through between two: so several
    pages are read twice, and what was on either is there."""
    found, pages = _read(call, page, rows=rows, key=key)
    if pages > 1:
        again, _ = _read(call, page, rows=rows, key=key)
        found |= again
    return list(found.values())


def _read(
    call: Caller, page: Callable[[int], Any], *, rows: Callable[[Any], Any], key: Callable[[Any], Any]
) -> tuple[dict[Any, Any], int]:
    """Rows by their key, and on how many pages they were. Fewer than the cloud counts are an error."""
    found: dict[Any, Any] = {}
    for number in range(1, MAX_PAGES + 1):
        body = page(number)
        got, total = rows(body), body.total_count
        if not isinstance(got, list) or not isinstance(total, int):
            raise call.translator.open(code="UnreadableAnswer", request_id=body.request_id or "")
        for row in got:
            if not isinstance(key(row), str):
                raise call.translator.open(code="UnreadableAnswer", request_id=body.request_id or "")
            found[key(row)] = row
        if len(found) >= total:
            return found, number
        if not got:
            break
    raise call.translator.open(code="IncompleteList")
