"""The user's class in words: what it allows, and when a higher one comes by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from spawner.desk.i18n import Translations
from spawner.ledger.people.rows import TrustClass
from spawner.ledger.people.trust import Standing
from spawner.people_settings import ClassLimits
from spawner.times import utc_text

CLASSES = {
    TrustClass.NEW: "Your account level is “new”.",
    TrustClass.KNOWN: "Your account level is “known”.",
    TrustClass.TRUSTED: "Your account level is “trusted”.",
}
RISES = {
    TrustClass.KNOWN: "It rises to “known” on {time}.",
    TrustClass.TRUSTED: "It rises to “trusted” on {time}.",
}
SESSION = "Your notebooks stop after {minutes} minutes at most."
ONE = "You can run one notebook at a time."
SEVERAL = "You can run {count} notebooks at the same time."


class ClassView(BaseModel):
    """The user's class. `text` says it, what it allows, and when time alone brings a higher one."""

    trust: Literal["new", "known", "trusted"]
    text: str


def view_of_class(
    standing: Standing,
    limits: ClassLimits,
    *,
    at_most: int,
    texts: Translations,
    when: Callable[[datetime], str] = utc_text,
) -> ClassView:
    """In the user's language. `at_most`: how many instances the catalog allows. `when`: a time in the user's zone."""
    sentences = [texts.say(CLASSES[standing.trust])]
    if limits.session_minutes is not None:
        sentences.append(texts.say(SESSION, minutes=limits.session_minutes))
    if limits.instances is not None and limits.instances < at_most:
        sentences.append(texts.say(ONE) if limits.instances == 1 else texts.say(SEVERAL, count=limits.instances))
    if standing.rises_to is not None and standing.rises_at is not None:
        sentences.append(texts.say(RISES[standing.rises_to], time=when(standing.rises_at)))
    return ClassView(trust=standing.trust.value, text=texts.together(*sentences))
