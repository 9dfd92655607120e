"""What the proxy's starter is given of the rate limits: hub_config/proxy/rates.js, `RateOptions`."""

from __future__ import annotations

from typing import Any

from spawner.rate_limits import texts
from spawner.rate_limits.buckets import MOST_KEYS
from spawner.rate_limits.rules import FAILED, RULES, Kind
from spawner.rate_settings import RateLimits


def proxy_options(limits: RateLimits, trusted_proxies: int) -> dict[str, Any]:
    """As JSON has it. Without limits nothing is counted; connections are."""
    return {
        "trustedProxies": trusted_proxies,
        "most": MOST_KEYS,
        "rules": [
            {"kind": rule.kind, "pattern": rule.pattern, "methods": rule.methods} for rule in RULES if limits.enabled
        ],
        "otherwise": Kind.API,
        "byAddress": {kind: getattr(limits, f"{kind}_by_address").model_dump() for kind in Kind if limits.enabled},
        "failedLogins": limits.failed_logins.model_dump(),
        "failedLoginCosts": limits.failed_login_costs,
        "failed": sorted(FAILED),
        "texts": {
            kind: {"page": texts.page(kind), "hub": texts.hub_json(kind), "desk": texts.desk_json(kind)}
            for kind in Kind
        },
        "headers": texts.HEADERS,
    }
