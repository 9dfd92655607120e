"""How running instances are used, counted by flavor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection

from spawner.desk.admin.views import ActivityView
from spawner.ledger import Instance, InstanceState
from spawner.ledger.time import use
from spawner.ledger.time.rows import Activity

Activities = Counter[tuple[str, Activity]]
"""By flavor and activity."""


def read_activities(connection: Connection, unended: Iterable[Instance]) -> Activities:
    """Of those that run and were looked at."""
    flavors = {one.id: one.flavor for one in unended if one.state is InstanceState.RUNNING}
    return Counter((flavors[one], activity) for one, activity in use.activities(connection, flavors).items())


def activity_view(activities: Activities, flavor_id: str) -> ActivityView:
    """Those of one flavor."""
    return ActivityView.model_validate({one.value: activities[flavor_id, one] for one in Activity})
