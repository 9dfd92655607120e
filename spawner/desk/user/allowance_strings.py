"""English texts of weekly hours for the user page's script. See `strings.py`."""

ALLOWANCE_STRINGS: dict[str, str] = {
    "hours_left": "{left} of {total} left this week",
    "hours_resets": "resets {time}",
    "hours_unlimited": "No weekly limit",
    "hours_weight": "1 hour counts as {n}",
    "hours_title": "{title} hours",
    "hours_held": "{time} set aside for this notebook",
    "hours_instead": "No weekly limit: {titles}.",
    "hours_none_instead": "Your hours reset on {time}.",
    "hours_own": "Use your own cloud account",
    "last_used": "It used {time} of your {title} hours.",
    "last_given_back": "Given back: {time} ({reason}).",
}
