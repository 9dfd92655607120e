"""How instances on this machine are connected, found out once at the start."""

from __future__ import annotations

from spawner.pool.backends.local.means import find_means
from spawner.pool.backends.local.network import Means, find_program, limits_of
from spawner.settings import Isolation, Settings


def with_means(settings: Settings) -> Settings:
    """The settings with what works here filled in."""
    if settings.kubernetes is not None or settings.isolation is Isolation.NONE:
        return settings
    wanted = settings.network
    means, why = find_means(internet=wanted.internet, limits=limits_of(wanted), log=wanted.log_days > 0)
    return settings.model_copy(update={"network": wanted.model_copy(update={"means": means.value, "why": why})})


def warning(settings: Settings) -> str | None:
    """What the operator must know before others come."""
    network = settings.network
    if network.means == Means.SHARED.value:
        return (
            "WARNING: this machine cannot give notebooks their own network, so they reach its loopback interface, "
            f"its private networks and each other's ports: {network.why}. Do not offer it to strangers."
        )
    if network.means == Means.CLOSED.value and network.internet:
        return (
            f"WARNING: notebooks have no internet access ({network.why}). Install: sudo apt-get install passt nftables "
            "(Debian, Ubuntu) or sudo dnf install passt nftables (Fedora). Or turn it off: "
            "network: {internet: false} in hub_config/local.yaml."
        )
    has_internet = network.means in (Means.PASTA.value, Means.SLIRP.value)
    if has_internet and network.upload_megabits and find_program("tc") is None:
        return (
            "WARNING: notebooks may use all of this machine's bandwidth: tc is missing. Install: sudo apt-get install "
            "iproute2. Or turn the limit off: network: {upload_megabits: 0} in hub_config/local.yaml."
        )
    return None
