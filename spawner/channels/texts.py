"""What messages say: as mail, and as the JSON that webhooks get."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from spawner.channels.keys import ChannelKeys
from spawner.channels.sentences import PAID, PAID_NEWS
from spawner.channels.translations import say, translations
from spawner.ledger.channels.rows import Channel, Message, MessageEvent
from spawner.ledger.people.bans import REASONS
from spawner.ledger.people.rows import BanCode
from spawner.ledger.pool.end_texts import END_TEXTS
from spawner.ledger.pool.rows import EndReason
from spawner.times import utc_text

Tell = Callable[..., str]
"""`say` in one language."""
MAINTENANCE = "maintenance"
"""The parameter `kind` of a message of an end that maintenance brings."""
LONGEST_NAME = 64
"""Characters of a user's name in a message to an address that is not confirmed: strangers read it."""


@dataclass(frozen=True)
class Letter:
    """One message in words. `summary` is its first paragraph, `text` the whole mail."""

    message_id: str
    language: str
    subject: str
    summary: str
    text: str
    made_at: datetime
    url: str
    unsubscribe_url: str = ""


@dataclass(frozen=True)
class _Words:
    subject: str
    paragraphs: list[str]
    url: str


@dataclass(frozen=True)
class Writer:
    """Writes messages. `public_url` is the platform's, `desk_url` the desk's, both with a slash at the end.

    `title(flavor, language)` is the title of a flavor.
    """

    public_url: str
    desk_url: str
    keys: ChannelKeys
    title: Callable[[str, str], str]

    def letter(self, message: Message, channel: Channel, *, name: str, now: datetime) -> Letter:
        """A message in the language of its channel. `name`: the user's name now."""
        words = self._words(message, channel, name=name, now=now)
        is_request = message.event is MessageEvent.CONFIRM
        ends = [] if is_request else [self._end(channel, name)]
        return Letter(
            message_id=message.id,
            language=channel.language,
            subject=words.subject,
            summary=words.paragraphs[0],
            text="\n\n".join([*words.paragraphs, *ends]) + "\n",
            made_at=message.made_at,
            url=words.url,
            unsubscribe_url="" if is_request else self.unsubscribe_url(channel),
        )

    def unsubscribe_url(self, channel: Channel) -> str:
        """Where the channel can be removed without a login."""
        key = self.keys.unsubscribe_key(channel.id)
        return f"{self.desk_url}channel/unsubscribe?channel={channel.id}&key={key}"

    def confirm_url(self, channel: Channel) -> str:
        """Where the owner of the address confirms it."""
        return f"{self.desk_url}channel/confirm?channel={channel.id}&code={self.keys.code(channel)}"

    def _words(self, message: Message, channel: Channel, *, name: str, now: datetime) -> _Words:
        params, tell = message.params, partial(say, channel.language)
        flavor = self.title(str(params.get("flavor", "")), channel.language)
        match message.event:
            case MessageEvent.CONFIRM:
                return self._request(channel, name)
            case MessageEvent.TEST:
                return _Words(
                    tell("Test message from Freepool"),
                    [tell("You receive messages from Freepool here.")],
                    f"{self.desk_url}channel",
                )
            case MessageEvent.YOUR_TURN:
                return self._turn(tell, flavor, params)
            case MessageEvent.DEADLINE if params.get("kind") == MAINTENANCE:
                why = "Your notebook ({flavor}) will be stopped for platform maintenance. It stops at {time}."
                return self._stop(tell, why, flavor, params, now)
            case MessageEvent.DEADLINE:
                why = "Your notebook ({flavor}) is about to reach its time limit. It stops at {time}."
                return self._stop(tell, why, flavor, params, now)
            case MessageEvent.IDLE:
                why = "Your notebook ({flavor}) is not being used. It stops at {time} unless you use it again."
                return self._stop(tell, why, flavor, params, now)
            case MessageEvent.ENDED:
                return self._ended(tell, flavor, params, channel.language)
            case MessageEvent.BANNED:
                return _Words(tell("Your account is banned"), _ban(tell, params), self.desk_url)
            case MessageEvent.PAID:
                return self._paid(tell, params)

    def _end(self, channel: Channel, name: str) -> str:
        tell = partial(say, channel.language)
        return "\n".join(
            (
                "---",
                tell("You get this because {name} entered this address at {url}.", name=name, url=self.public_url),
                tell("Choose which messages you receive: {url}", url=f"{self.desk_url}channel"),
                tell("Stop all messages to this address: {url}", url=self.unsubscribe_url(channel)),
            )
        )

    def _request(self, channel: Channel, name: str) -> _Words:
        tell, url = partial(say, channel.language), self.confirm_url(channel)
        shown = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
        asked = "{name} wants to receive messages from Freepool ({url}) at this address."
        paragraphs = [
            tell(asked, name=shown, url=self.public_url),
            tell("If this is you, open this page within 24 hours and confirm:") + f"\n{url}",
            tell("If it is not you, say so on that page, or do nothing: nothing else is sent."),
        ]
        return _Words(tell("Confirm your address for Freepool"), paragraphs, url)

    def _turn(self, tell: Tell, flavor: str, params: Mapping[str, Any]) -> _Words:
        held = "A notebook is reserved for you until {until}: {flavor}."
        paragraphs = [
            tell(held, until=_time(params.get("hold_until")), flavor=flavor),
            tell("Open it: {url}", url=self.desk_url),
            tell("If you do not open it in time, it goes to the next user."),
        ]
        return _Words(tell("It is your turn: {flavor}", flavor=flavor), paragraphs, self.desk_url)

    def _stop(self, tell: Tell, why: str, flavor: str, params: Mapping[str, Any], now: datetime) -> _Words:
        ends_at = _parsed(params.get("ends_at"))
        minutes = max(1, math.ceil((ends_at - now).total_seconds() / 60)) if ends_at else 1
        subject = "Your notebook stops in 1 minute" if minutes == 1 else "Your notebook stops in {minutes} minutes"
        paragraphs = [
            tell(why, flavor=flavor, time=_time(params.get("ends_at"))),
            tell("Save your files before that, or see what else you can do: {url}", url=self.desk_url),
        ]
        return _Words(tell(subject, minutes=minutes), paragraphs, self.desk_url)

    def _ended(self, tell: Tell, flavor: str, params: Mapping[str, Any], language: str) -> _Words:
        reason = str(params.get("reason"))
        what = END_TEXTS[EndReason(reason)].what if reason in set(EndReason) else "Your notebook has ended."
        first = translations(language).together(tell(what), tell("Machine type: {flavor}.", flavor=flavor))
        paragraphs = [first, tell("See what happened to your files, or start again: {url}", url=self.desk_url)]
        return _Words(tell("Your notebook has ended"), paragraphs, self.desk_url)

    def _paid(self, tell: Tell, params: Mapping[str, Any]) -> _Words:
        known = {"instance_type": tell("notebook"), "account": ""}
        facts = known | {key: value for key, value in params.items() if key in known}
        paragraphs = [
            tell(PAID.get(str(params.get("kind")), PAID_NEWS), **facts),
            tell("Your paid notebooks: {url}", url=f"{self.desk_url}paid"),
        ]
        return _Words(tell("Your paid notebook"), paragraphs, f"{self.desk_url}paid")


def _ban(tell: Tell, params: Mapping[str, Any]) -> list[str]:
    code, until, appeal = str(params.get("code")), params.get("until"), params.get("appeal")
    reason = REASONS[BanCode(code) if code in set(BanCode) else BanCode.OTHER]
    ends = tell("The ban ends on {until}.", until=_time(until)) if until else tell("The ban is permanent.")
    asks = "You can appeal: contact an administrator of this platform."
    return [tell(reason), ends, tell("You can appeal: {appeal}", appeal=appeal) if appeal else tell(asks)]


def webhook_body(letter: Letter, message: Message, channel: Channel) -> dict[str, Any]:
    """The JSON of a webhook: in the form of Standard Webhooks, with the words and the facts."""
    facts = {} if message.event is MessageEvent.CONFIRM else dict(message.params)
    return {
        "type": message.event.value,
        "timestamp": message.made_at.isoformat(),
        "data": {
            "channel": channel.id,
            "language": letter.language,
            "title": letter.subject,
            "text": letter.summary,
            "url": letter.url,
            **({"unsubscribe_url": letter.unsubscribe_url} if letter.unsubscribe_url else {}),
            "facts": facts,
        },
    }


def _parsed(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None


def _time(text: object) -> str:
    time = _parsed(text)
    return utc_text(time) if time else ""
