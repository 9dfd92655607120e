"""Sentences of messages by the codes in their parameters. `translations/` has them in Chinese."""

from __future__ import annotations

ENDS: dict[str, str] = {
    "deadline": "It reached its time limit.",
    "idle": "It was not used.",
    "crashed": "It exited on its own.",
    "out_of_memory": "It ran out of memory.",
    "out_of_disk": "It ran out of disk space.",
    "evicted": "Its server ran out of resources. We are sorry.",
    "lost": "It was lost because of a problem on our side. We are sorry.",
    "shutdown": "The platform was shut down.",
    "maintenance": "It was stopped for maintenance.",
    "not_collected": "It was your turn, but you did not open it in time.",
    "administrator": "An administrator stopped it.",
    "guard": "It was stopped by a rule of this platform.",
}
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
