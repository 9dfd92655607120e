"""Edge cases of providers: default disks, lists that change between pages, URLs in logs, unclear errors."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spawner.paid.consent import rules as consent_rules
from spawner.paid.consent.rules import Chosen, Page, Parties
from spawner.paid.money import Money
from spawner.paid.providers.dsw import sdk
from spawner.paid.providers.dsw.assumptions import DswAssumptions
from spawner.paid.providers.dsw.errors import Translator
from spawner.paid.providers.dsw.listing import PAGE, instances
from spawner.paid.providers.sagemaker.provider import GIB, SageMakerProvider
from spawner.paid.quotes import Needs, quote
from tests.paid import aws, make
from tests.paid.aws import Moto
from tests.paid.make import NOW


async def test_the_price_of_a_default_disk_is_part_of_the_offer(moto: Moto, tmp_path: Path, models: object) -> None:
    settings = aws.sagemaker_settings(moto, tmp_path, volume_price=Decimal("0.001"), volume_gib=7)
    provider = SageMakerProvider(settings, botocore_session=models)
    instance_types = await provider.instance_types(aws.linked(moto))
    await provider.close()
    best = quote(instance_types, Needs(), disk=None, read_at=NOW)[0]
    assert (best.compute, best.disk) == (Money(Decimal("0.05"), "USD"), Money(Decimal("0.007"), "USD"))
    asked = consent_rules.ask(
        "c1",
        Parties(make.make_binding(provider="sagemaker"), "us-east-1", "AWS", provider.capabilities),
        best,
        Chosen("paid-1", Money(Decimal(5), "USD"), 3600),
        Page("5e55", "en", token=""),
        now=NOW,
    )
    assert asked.disk == 7 * GIB, "the size that is created"
    assert "7 GiB" in asked.text
    assert "0.007" in asked.text
    assert consent_rules.change_since(asked, instance_types) is None
    assert consent_rules.change_since(
        asked, [replace(offered, disk_price=Money(Decimal("0.002"), "USD")) for offered in instance_types]
    )


async def test_a_type_with_a_disk_of_unknown_price_is_not_offered(moto: Moto, tmp_path: Path, models: object) -> None:
    provider = SageMakerProvider(aws.sagemaker_settings(moto, tmp_path), botocore_session=models)
    instance_types = await provider.instance_types(aws.linked(moto))
    await provider.close()
    assert not any(quoted.is_buyable for quoted in quote(instance_types, Needs(), disk=None, read_at=NOW))


def test_an_instance_that_moves_to_an_earlier_page_is_listed() -> None:
    there = [f"dsw-{number:03}" for number in range(PAGE + 50)]
    translator = Translator(DswAssumptions(), mutates=False, secrets=())

    class ShrinkingList:
        """A cloud that deletes the first instance after the first page was read."""

        def __init__(self) -> None:
            self.translator = translator

        def __call__(self, send: Any) -> Any:
            return send(self, None)

        def list_instances_with_options(self, wanted: Any, _headers: Any, _time: Any) -> Any:
            began = (wanted.page_number - 1) * PAGE
            rows = [SimpleNamespace(instance_id=one) for one in there[began : began + PAGE]]
            body = SimpleNamespace(instances=rows, total_count=len(there), request_id="R")
            if len(there) == PAGE + 50:
                del there[0]
            return body

    found = {row.instance_id for row in instances(ShrinkingList())}
    assert found >= set(there)


def test_urls_are_not_logged_at_any_level_of_the_root_logger() -> None:
    logger, root = logging.getLogger("urllib3"), logging.getLogger()
    before = logger.level, root.level
    try:
        logger.setLevel(logging.NOTSET)
        root.setLevel(logging.DEBUG)
        sdk.harden()
        assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.DEBUG)
    finally:
        logger.setLevel(before[0])
        root.setLevel(before[1])


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("mutates", [True, False])
def test_an_internal_error_has_an_unknown_outcome(status: int, mutates: bool) -> None:
    from spawner.paid.providers import base

    error = Translator(DswAssumptions(), mutates=mutates, secrets=()).refused(status, "InternalError", "…", "R")
    assert type(error) is (base.OutcomeUnknown if mutates else base.Unavailable)
