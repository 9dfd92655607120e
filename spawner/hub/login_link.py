"""The name of `spawner.hub.login.link` before 0.2; removed in the release after it."""

from spawner.hub.login.link import link_token, login_link

__all__ = ["link_token", "login_link"]
