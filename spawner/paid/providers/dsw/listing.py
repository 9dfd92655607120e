"""Paged listings. An incomplete one raises: an instance that is wrongly missing would go on costing money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from alibabacloud_pai_dsw20220101 import models as dsw

from spawner.paid.providers.dsw.errors import Translator

PAGE = 100
MAX_PAGES = 500
MAX_FILTER_LABELS = 4
"""Maximum labels that the cloud filters by."""
EVERYWHERE = "ALL"
"""Without this value a listing contains only one workspace, and only pay-as-you-go instances."""


class Caller(Protocol):
    """Sends a call and checks its response."""

    translator: Translator

    def __call__(self, send: Callable[[Any, Any], Any]) -> Any:
        """The response's body."""
        ...


def instances(call: Caller, *, name: str | None = None, labels: Mapping[str, str] | None = None) -> list[Any]:
    """All instances of the account in the region. The cloud also returns instances whose name contains `name`, and
    filters by `MAX_FILTER_LABELS` labels at most: the caller filters again."""
    filter_labels = dict(list((labels or {}).items())[:MAX_FILTER_LABELS])

    def page(number: int) -> Any:
        request = dsw.ListInstancesRequest(
            instance_name=name,
            labels=filter_labels or None,
            workspace_id=EVERYWHERE,
            resource_id=EVERYWHERE,
            sort_by="GmtCreateTime",
            order="ASC",
            page_number=number,
            page_size=PAGE,
        )
        return call(lambda client, time: client.list_instances_with_options(request, {}, time))

    return _whole(call, page, rows=lambda body: body.instances, key=lambda row: row.instance_id)


def specs(call: Caller) -> list[Any]:
    """The price list of all instance types, with and without accelerators."""
    listed = []
    for kind in ("CPU", "GPU"):

        def page(number: int, kind: str = kind) -> Any:
            request = dsw.ListEcsSpecsRequest(accelerator_type=kind, page_number=number, page_size=PAGE)
            return call(lambda client, time: client.list_ecs_specs_with_options(request, {}, time))

        listed += _whole(call, page, rows=lambda body: body.ecs_specs, key=lambda row: row.instance_type)
    return listed


def _whole(
    call: Caller, page: Callable[[int], Any], *, rows: Callable[[Any], Any], key: Callable[[Any], Any]
) -> list[Any]:
    """All rows, each once. A row deleted during the listing shifts the later pages, which can hide another row, so a
    listing of several pages is read twice and merged."""
    rows_by_key, pages = _read(call, page, rows=rows, key=key)
    if pages > 1:
        again, _ = _read(call, page, rows=rows, key=key)
        rows_by_key |= again
    return list(rows_by_key.values())


def _read(
    call: Caller, page: Callable[[int], Any], *, rows: Callable[[Any], Any], key: Callable[[Any], Any]
) -> tuple[dict[Any, Any], int]:
    """Rows by key, and the number of pages. Raises if there are fewer than the cloud's `total_count`."""
    rows_by_key: dict[Any, Any] = {}
    for number in range(1, MAX_PAGES + 1):
        body = page(number)
        page_rows, total = rows(body), body.total_count
        if not isinstance(page_rows, list) or not isinstance(total, int):
            raise call.translator.open(code="UnreadableAnswer", request_id=body.request_id or "")
        for row in page_rows:
            if not isinstance(key(row), str):
                raise call.translator.open(code="UnreadableAnswer", request_id=body.request_id or "")
            rows_by_key[key(row)] = row
        if len(rows_by_key) >= total:
            return rows_by_key, number
        if not page_rows:
            break
    raise call.translator.open(code="IncompleteList")
