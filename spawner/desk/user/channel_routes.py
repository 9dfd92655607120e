"""The URLs of the page of messages, and of the links in them."""

from __future__ import annotations

from spawner.desk.routes import Route
from spawner.desk.user import channel, channel_links

PAGES: tuple[Route, ...] = (
    Route("channel", channel.ChannelPage),
    Route("channel/enter", channel.EnterHandler),
    Route("channel/again", channel.AgainHandler),
    Route("channel/test", channel.TestHandler),
    Route("channel/remove", channel.RemoveHandler),
)
LINKS: tuple[Route, ...] = (
    Route("channel/confirm", channel_links.ConfirmHandler),
    Route("channel/unsubscribe", channel_links.UnsubscribeHandler),
)
"""Their handlers need no user, so they get none of the other handlers' `initialize` arguments."""
