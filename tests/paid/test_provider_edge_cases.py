"""What clouds say by the way: disks that nobody asked for, pages that shift, words in a log."""

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


async def test_a_disk_that_nobody_asked_for_is_priced_and_said(moto: Moto, tmp_path: Path, models: object) -> None:
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
    assert asked.disk == 7 * GIB, "this is what is made"
    assert "7 GiB" in asked.text
    assert "0.007" in asked.text
    assert consent_rules.change_since(asked, instance_types) is None
    assert consent_rules.change_since(
        asked, [replace(one, disk_price=Money(Decimal("0.002"), "USD")) for one in instance_types]
    )


async def test_a_disk_of_unknown_price_is_not_for_sale(moto: Moto, tmp_path: Path, models: object) -> None:
    provider = SageMakerProvider(aws.sagemaker_settings(moto, tmp_path), botocore_session=models)
    instance_types = await provider.instance_types(aws.linked(moto))
    await provider.close()
    assert not any(one.is_buyable for one in quote(instance_types, Needs(), disk=None, read_at=NOW))


def test_a_row_that_slips_from_one_page_to_another_is_seen() -> None:
    there = [f"dsw-{number:03}" for number in range(PAGE + 50)]
    translator = Translator(DswAssumptions(), mutates=False, secrets=())

    class Shifting:
        """A cloud in which the very first is deleted once the first page was read."""

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

    found = {row.instance_id for row in instances(Shifting())}
    assert found >= set(there)


def test_addresses_are_not_logged_whatever_the_root_logger_says() -> None:
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
def test_the_word_for_everything_else_decides_nothing(status: int, mutates: bool) -> None:
    from spawner.paid.providers import base

    said = Translator(DswAssumptions(), mutates=mutates, secrets=()).refused(status, "InternalError", "…", "R")
    assert type(said) is (base.OutcomeUnknown if mutates else base.Unavailable)
