"""English texts of the administrator page's script; see `user/strings.py`."""

from spawner.desk.i18n import Plural

ADMIN_STRINGS: dict[str, str] = {
    "title": "Operations",
    "people": "Users",
    "no_steward": (
        "The steward is not running: the queue does not move and no notebooks are kept warm. Check its log."
    ),
    "details": "Details",
    "dismiss": "Dismiss",
    "cancel": "Cancel",
    "save": "Save",
    "saved": "Saved.",
    "set_by": "set by {name}, {time}",
    # Maintenance
    "drain": "Start maintenance…",
    "drain_title": "Start maintenance?",
    "drain_text": (
        "No new notebooks can be started, and none are kept warm. People in the queue keep their place. "
        "Running notebooks continue unless you set an end time."
    ),
    "drain_at": "Stop all running notebooks at (optional)",
    "drain_reason": "Message to users (optional)",
    "drain_action": "Start maintenance",
    "draining": "Maintenance",
    "draining_ends": "Notebooks still running are stopped at {time}.",
    "draining_stays": "Running notebooks are not affected.",
    "drain_change": "Change…",
    "drain_end": "End maintenance",
    # A flavor
    "pause": "Pause",
    "resume": "Resume",
    "paused": "Paused",
    "pause_title": "Pause {flavor}?",
    "pause_text": (
        "No new ones can be started until you resume it. Running notebooks continue, and people in the "
        "queue keep their place."
    ),
    "running": "Running",
    "starting": "{n} starting",
    "stopping": "{n} stopping",
    "in_line": "In the queue",
    "oldest": "longest: {time}",
    "free": "Available",
    "of_limit": "of {n}",
    "warm": "Warm",
    "of_target": "target: {n}",
    "bar_assigned": "{n} in use",
    "bar_warm": "{n} warm",
    "bar_making": "{n} starting up",
    "bar_leaving": "{n} being deleted",
    "bar_room": "capacity for {n} more",
    "activity": "Working: {working} · user present: {present} · waiting: {waiting} · idle: {idle}",
    "users_until": "Next attempt at {time}.",
    # Waiting slots
    "targets": "Warm notebooks",
    "no_targets": "No warm notebooks configured: there is no setting in the catalog and no minimum.",
    "floor_catalog": "Catalog: {floor} to {ceiling}",
    "floor_change": "Set minimum…",
    "floor_add": "Set minimum for an image…",
    "floor_title": "Minimum for {flavor}",
    "floor_text": "At least this many notebooks are kept warm, regardless of the catalog and demand.",
    "floor_slots": "Notebooks",
    "floor_clear": "Reset to catalog",
    # The last day
    "day": "Last 24 hours",
    "start_warm": "Warm starts",
    "start_cold": "Cold starts",
    "waits": "Queue waits",
    "count": "Count",
    "half": "Median",
    "most": "95% within",
    "kind": "Kind",
    "no_starts": "No starts.",
    "no_waits": "No waits.",
    "chart_longest": "longest",
    "chart_half": "median",
    "chart_table": "Show as table",
    "hour": "Hour",
    "came": "Started",
    "waited": "Waited",
    "longest": "Longest",
    "foretold_off": "Shorter than estimated: {shorter}; longer: {longer}.",
    "failures": "Errors",
    "no_failures": "No errors.",
    "failure": "{text}: {n}",
    # Other pages
    "guard": "Unusual use",
    "notebooks": "Running notebooks",
    "allowances": "Allowances",
    "announcement": "Announcement",
    "terms": "Terms and privacy",
    # Plans
    "plans": "Plans",
    "plans_lead": "Keep notebooks warm at set times, for example for a class. They start five minutes early.",
    "no_plans": "No plans.",
    "plan_add": "New plan…",
    "plan_title": "New plan",
    "plan_name": "Name",
    "plan_name_hint": "Lowercase letters, digits, and hyphens, for example ml-course",
    "plan_flavor": "Machine type",
    "plan_image": "Image",
    "plan_slots": "Notebooks",
    "plan_begins": "Starts",
    "plan_ends": "Ends",
    "plan_weekly": "Every week",
    "plan_zone": "Times are in your time zone ({zone}).",
    "plan_what": "{n} × {flavor}, {image}",
    "plan_when": "{begins} to {ends}",
    "plan_now": "Now",
    "plan_over": "Ended",
    "plan_remove": "Delete",
    "plan_remove_title": "Delete the plan {name}?",
    "plan_remove_text": "Notebooks are no longer kept warm for this plan.",
    # What counts for nothing
    "ignored": "Settings without effect",
    "ignored_remove": "Delete",
    # When something is wrong
    "reconnecting": "Reconnecting…",
    "no_answer": "The server did not respond.",
    "no_answer_next": "Check your internet connection, then try again.",
    "signed_out": "You are signed out.",
    "signed_out_next": "Reload this page to sign in.",
    "unknown_error": "Something went wrong.",
    "unknown_error_next": "Try again in a moment.",
}
ADMIN_PLURALS: dict[str, Plural] = {
    "backs_off": Plural("{reason}. Next attempt at {time}.", "{reason}, {n} times in a row. Next attempt at {time}."),
    "chart": Plural(
        "Waits by hour: {n} person waited, for {longest}, in the hour from {hour}.",
        "Waits by hour: {n} people waited; the longest wait was {longest}, in the hour from {hour}.",
    ),
    "foretold": Plural(
        "{share} of {n} wait was within the estimate.", "{share} of {n} waits were within the estimate."
    ),
}
"""Texts whose form depends on the number `count` that the script passes."""
