"""The name of `spawner.hub.login.link` before 0.2; removed in the release after it."""

import warnings

from spawner.hub.login.link import link_token, login_link

__all__ = ["link_token", "login_link"]

warnings.warn("spawner.hub.login_link is now spawner.hub.login.link", FutureWarning, stacklevel=2)
