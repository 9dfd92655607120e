"""Whether the offer to go on without a GPU would save its user hours."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from spawner.ledger import Instance
from spawner.pool.policies import rights_in
from spawner.pool.time.extensions import Extensions
from spawner.pool.time.metering import AllowanceState


def saves_hours(
    connection: Connection, rules: Extensions, instance: Instance, gpu: AllowanceState | None, now: datetime
) -> bool:
    """Whether the person would save hours: `gpu`, those of the running instance, are limited, and they may use a
    machine type without a GPU whose hours are others, and not used up."""
    if gpu is None or gpu.left is None:
        return False
    rights = rights_in(connection, rules.catalog, instance.person_id)
    for flavor in rules.catalog.flavors:
        if flavor.accelerator is not None or flavor.limit == 0 or rights.denial(flavor.id, instance.image) is not None:
            continue
        hours = rules.metering.state_for(connection, instance.person_id, flavor.id, now, "en")
        if hours is None or hours.left is None or (hours.left > 0 and hours.class_id != gpu.class_id):
            return True
    return False
