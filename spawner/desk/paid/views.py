"""Models of the API of paid instances, which the pages are rendered from, too."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, computed_field

from spawner.desk.i18n import Translations
from spawner.desk.paid.texts import CONSENT_STATES
from spawner.desk.views import DEPRECATED
from spawner.ledger.paid.rows import Consent


class AccountView(BaseModel):
    """A cloud account that is linked or being linked. `ending`: the last four digits of its number."""

    id: str
    provider: str
    account_id: str
    ending: str
    state: str
    state_text: str
    problem: str | None
    url: str


class StageView(BaseModel):
    """One stage of a start."""

    percent: int
    text: str


class InstanceTypeView(BaseModel):
    """Base of models that name a cloud's instance type."""

    instance_type: str

    @computed_field(json_schema_extra=DEPRECATED)
    def shape(self) -> str:
        """The name of `instance_type` in version 0.1."""
        return self.instance_type


class PaidInstanceView(InstanceTypeView):
    """An instance in the user's cloud account. `id` is its order's, or its consent's until there is an order.

    Amounts are exact text in `currency`. Of this run, `spent` is an estimate, `cap` the limit, and `share` their
    quotient (0 to 1). `seconds`: how long this run has been charged, by the cloud's count or by ours, the larger one.
    `cloud_seconds`: by the cloud's count. `stops_at`: when a timer stops it at the latest.
    """

    id: str
    server: str
    provider: str
    account: str
    region: str
    state: str
    state_text: str
    reason: str | None
    raw_state: str | None
    seen_at: datetime | None
    problem: str | None
    currency: str | None
    price: str | None
    spent: str | None
    cap: str | None
    share: float | None
    seconds: int
    cloud_seconds: int | None
    created_at: datetime
    stops_at: datetime | None
    timer: bool
    stopped_at: datetime | None
    ended_at: datetime | None
    may_bill: bool
    can_stop: bool
    can_start: bool
    can_ask_again: bool
    can_delete: bool
    open_url: str | None
    url: str
    stages: list[StageView]


class NoticeView(BaseModel):
    """A message that the user has not dismissed."""

    seq: int
    at: datetime
    text: str
    good: bool
    instance: str | None


class ConsentView(InstanceTypeView):
    """The text that the user was asked to consent to, and their answer. `demo`: no real money."""

    id: str
    kind: str
    state: str
    state_text: str
    provider: str
    account_id: str
    region: str
    price: str
    currency: str
    unit: str
    cap: str
    run_seconds: int
    idle_seconds: int | None
    read_at: datetime
    offered_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    spent_at: datetime | None
    text: str
    text_version: int
    text_hash: str
    language: str
    demo: bool


class PaidView(BaseModel):
    """All accounts and instances of a user. `offered`: whether new instances can be created."""

    demo: bool
    offered: bool
    accounts_url: str
    accounts: list[AccountView]
    instances: list[PaidInstanceView]
    history: list[PaidInstanceView]
    notices: list[NoticeView]


def consent_view(consent: Consent, texts: Translations, title: str, *, demo: bool) -> ConsentView:
    """A consent as the user sees and downloads it. `title` is the cloud's name."""
    values = {name: getattr(consent, name) for name in ConsentView.model_fields if hasattr(consent, name)}
    return ConsentView(
        **values | {"provider": title, "demo": demo, "state_text": texts.say(CONSENT_STATES[consent.state])},
    )
