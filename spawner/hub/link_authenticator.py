"""The name of `spawner.hub.login.links` before 0.2; removed in the release after it."""

import warnings

from spawner.hub.login.links import LinkAuthenticator, LinkHandler

__all__ = ["LinkAuthenticator", "LinkHandler"]

warnings.warn("spawner.hub.link_authenticator is now spawner.hub.login.links", FutureWarning, stacklevel=2)
