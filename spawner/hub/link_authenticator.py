"""The name of `spawner.hub.login.links` before 0.2; removed in the release after it."""

from spawner.hub.login.links import LinkAuthenticator, LinkHandler

__all__ = ["LinkAuthenticator", "LinkHandler"]
