"""What the links in messages lead to. They need no login: having the message shows that one owns the address.

A GET changes nothing, because programs that look for malware open the links of each mail.
"""

from __future__ import annotations

from spawner.channels import requests
from spawner.channels.keys import SECRET, ChannelKeys, code_hash
from spawner.desk.http import Handler
from spawner.desk.requests import form_fields, query_fields
from spawner.ledger.channels import channels
from spawner.ledger.channels.rows import Channel
from spawner.ledger.people import people
from spawner.pool.build import utc_now


class LinkHandler(Handler):
    """Base of both."""

    needs_user = False
    shows_account = True

    @property
    def keys(self) -> ChannelKeys:
        """What derives from the secret of channels."""
        return ChannelKeys(self.desk.settings.secret(SECRET))

    @property
    def given(self) -> dict[str, str]:
        """The link's parameters, which the page's forms send again."""
        return query_fields(self) | form_fields(self)

    def say_done(self, title: str, text: str) -> None:
        """Send a page with one message."""
        self.finish(
            self.render_page(
                "shared/message.html",
                title=title,
                text=text,
                action_url=f"{self.desk.base}channel",
                action_label=self.say("Messages"),
            )
        )

    def say_void(self) -> None:
        """Send the page for a link that is not valid any more."""
        self.set_status(404)
        self.say_done(
            self.say("This link is no longer valid."),
            self.say("It has been used, is older than 24 hours, or the address has been changed since."),
        )

    async def show(self, template: str, channel: Channel) -> None:
        """Send the page with the buttons."""
        names = await self.desk.ledger.aread(people.names, [channel.person_id])
        self.finish(self.render_page(template, channel=channel, who=names.get(channel.person_id, ""), given=self.given))


class ConfirmHandler(LinkHandler):
    """GET and POST /channel/confirm?channel=…&code=…"""

    async def get(self) -> None:
        """Ask."""
        channel = await self._channel()
        if channel is None:
            self.say_void()
        else:
            await self.show("user/channel_confirm.html", channel)

    async def post(self) -> None:
        """Confirm the address, or block it where its owner did not ask for this."""
        channel, now = await self._channel(), utc_now()
        if channel is None:
            self.say_void()
        elif "deny" in self.given:
            await self.desk.ledger.awrite(requests.deny, channel, self.keys, now=now)
            self.say_done(
                self.say("Nothing more is sent to this address."),
                self.say("It was removed, and nobody can enter it here again."),
            )
        elif await self.desk.ledger.awrite(channels.confirm, channel.id, self._hash, now=now):
            self.say_done(
                self.say("The address is confirmed."), self.say("Messages from Freepool are sent there from now on.")
            )
        else:
            self.say_void()

    @property
    def _hash(self) -> str:
        return code_hash(self.given.get("code", ""))

    async def _channel(self) -> Channel | None:
        channel_id = self.given.get("channel", "")[:32]
        return await self.desk.ledger.aread(channels.with_code, channel_id, self._hash, now=utc_now())


class UnsubscribeHandler(LinkHandler):
    """GET and POST /channel/unsubscribe?channel=…&key=…"""

    async def get(self) -> None:
        """Ask."""
        channel = await self._channel()
        if channel is None:
            self._say_removed()
        else:
            await self.show("user/channel_unsubscribe.html", channel)

    async def post(self) -> None:
        """Delete the address. Mail programs do this by themselves (RFC 8058), without cookies."""
        channel = await self._channel()
        if channel is not None:
            await self.desk.ledger.awrite(channels.remove, channel.id)
        self._say_removed()

    def _say_removed(self) -> None:
        self.say_done(
            self.say("This address gets no messages."), self.say("You can enter it again on the page of messages.")
        )

    async def _channel(self) -> Channel | None:
        given = self.given
        channel_id = given.get("channel", "")[:32]
        if not self.keys.is_unsubscribe_key(channel_id, given.get("key", "")):
            return None
        return await self.desk.ledger.aread(channels.find, channel_id)
