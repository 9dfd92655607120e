"""Sentences of messages by the codes in their parameters. `translations/` has them in Chinese."""

from __future__ import annotations

PAID: dict[str, str] = {
    "running": "Your {instance_type} is running. Charges have started.",
    "most_spent": "Your {instance_type} has used most of its spending limit.",
    "stopped": "Your {instance_type} has stopped.",
    "stop_failed": "Your {instance_type} could not be stopped yet and may still incur charges. We keep trying.",
    "delete_failed": "Your {instance_type} could not be deleted yet. We keep trying.",
    "deleted": "Your {instance_type} is deleted. There are no further charges.",
    "not_made": "Your {instance_type} was not started. You were not charged.",
    "price_changed": "Your {instance_type} was not started. You were not charged.",
    "recovered": "Your {instance_type} is running but was not started here.",
    "failed": "Your {instance_type} failed in the cloud. Delete it to avoid charges.",
    "strange_state": "Your {instance_type} is in an unknown state. It may incur charges.",
    "wiped_soon": "Your {instance_type} has been stopped for a long time. The cloud erases its disk soon.",
    "left": "You unlinked the account; your {instance_type} is still in it.",
    "auth_lost": "Freepool can no longer reach your cloud account {account}.",
    "list_blind": "Freepool cannot see the notebooks it creates in your cloud account {account}.",
}
PAID_NEWS = "There is news about your paid notebooks."
