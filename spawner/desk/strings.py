"""The English texts that the desk's script shows.

They live here, not in the script, so that the server can translate them with
the same catalogue as the templates.  ``{placeholders}`` are filled in the
browser, where numbers and times are written the way the reader's language
writes them.
"""

JS_STRINGS: dict[str, str] = {
    # No instance yet
    "hero_title": "Start a free notebook",
    "hero_lead": "A JupyterLab of your own, here in your browser.",
    "fine_print": (
        "It is free and touches nothing in your cloud account. Everything in it is wiped when it stops or restarts."
    ),
    "flavor_legend": "Instance type",
    "shape_cpu": "{n} CPU",
    "shape_memory": "{size} memory",
    "shape_disk": "{size} disk",
    "shape_time": "up to {time}",
    "shape_accelerator": "{name} with {size}",
    "shape_accelerators": "{n} × {name} with {size}",
    "stock_warm": "Ready in a second",
    "stock_free": "{n} free",
    "stock_none": "None free right now",
    "nothing_free": "Nothing is free right now. This page updates by itself.",
    "no_flavors": "Nothing can be started here yet: this pool has no instance types.",
    "no_images": "Nothing can be started here yet: this pool has no image ready.",
    "image": "Image",
    "image_unavailable": "{title} (not available: {reason})",
    "start": "Start",
    "starting": "Starting…",
    "dismiss": "Dismiss",
    "details": "Details",
    # An instance
    "state_starting": "Starting",
    "state_running": "Running",
    "state_stopping": "Stopping",
    "starting_title": "Starting your notebook",
    "running_title": "Your notebook is ready",
    "stopping_title": "Wiping your instance…",
    "stopping_lead": "Everything in it is being deleted.",
    "switching_lead": "Everything in it is being deleted. Then a fresh one starts.",
    "progress": "Progress",
    "waiting": "Asking the pool for an instance",
    "example_waits": "“{title}” opens by itself as soon as it is ready.",
    "cancel": "Cancel",
    "cancelling": "Cancelling…",
    "open": "Open JupyterLab",
    "new_tab": "opens in a new tab",
    "restart": "Restart (wipes everything)",
    "restarting": "Restarting…",
    "stop": "Stop",
    "stopping": "Stopping…",
    "time_left": "Time left",
    "ends_at": "ends at {time}",
    "ends_soon": "Download what you want to keep now. Nothing is left after the end.",
    "type": "Type",
    "running_for": "Running for",
    "started_in": "Started in",
    "ended": "Your instance has ended.",
    # Asking before something is lost
    "confirm_restart_title": "Restart and wipe everything?",
    "confirm_restart_text": (
        "All files in this instance are deleted and everything that runs in it ends. "
        "Then you get a fresh one. Download what you want to keep first."
    ),
    "confirm_restart_action": "Wipe and restart",
    "confirm_stop_title": "Stop and wipe everything?",
    "confirm_stop_text": (
        "All files in this instance are deleted and cannot be brought back. Download what you want to keep first."
    ),
    "confirm_stop_action": "Wipe and stop",
    "confirm_switch_title": "Restart with another image?",
    "confirm_switch_text": (
        "“{title}” needs the image “{image}”. Your instance is restarted with it, "
        "and all files in it are deleted. Download what you want to keep first."
    ),
    # Examples
    "examples_title": "Examples",
    "examples_lead": "Notebooks that are ready to run.",
    "about_time": "about {time}",
    "open_example": "Open",
    "opens_when_ready": "Opens when ready",
    "unavailable": "Not available here",
    "wait_for_wipe": "Wait until the wipe is done.",
    # When something is wrong
    "reconnecting": "Reconnecting…",
    "no_answer": "The desk did not answer.",
    "no_answer_next": "Check your connection, then try again.",
    "signed_out": "You are signed out.",
    "signed_out_next": "Load this page again to sign in.",
    "unknown_error": "That did not work.",
    "unknown_error_next": "Try again in a moment.",
}
