"""English texts of the user page's script.

They are here so that they are translated together with the templates. The script fills the `{placeholders}`, with
numbers and times in the format of the user's language.
"""

USER_STRINGS: dict[str, str] = {
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
    "stock_first": "you would be next",
    "stock_wait": "wait {wait}",
    "stock_line": "{n} in line",
    "stock_line_wait": "{n} in line, wait {wait}",
    "nothing_free": "Nothing is free right now. This page updates by itself.",
    "queue_hint": (
        "All of it is lent out. Take a place in line: your notebook starts by itself when it is your turn, "
        "and you need not stay."
    ),
    "join": "Take a place in line",
    "joining": "Finding your place…",
    "no_flavors": "Nothing can be started here yet: this pool has no instance types.",
    "no_images": "Nothing can be started here yet: this pool has no image ready.",
    "image": "Image",
    "image_unavailable": "{title} (not available: {reason})",
    "start": "Start",
    "starting": "Starting…",
    "dismiss": "Dismiss",
    "details": "Details",
    # In line
    "in_line": "You are in line.",
    "state_waiting": "In line",
    "line_title": "You are number {place} in line",
    "line_lead": "Your notebook starts by itself when it is your turn. You may close this page.",
    "turn_title": "It is your turn",
    "turn_lead": "Your notebook is being started.",
    "place_of": "{place} of {n} in line",
    "expected_wait": "Expected wait",
    "wait_unknown": "not known yet",
    "wait_hint": "Reckoned from how long notebooks run here; it holds in three cases of five.",
    "waiting_for": "Waiting for",
    "leave": "Leave the line",
    "leaving": "Leaving…",
    "notify": "Tell me when it is my turn",
    "notify_on": "This browser will tell you.",
    "notify_ready": "{title}: your notebook is starting.",
    "notify_held": "{title} is kept for you.",
    "meanwhile_title": "Free right now",
    "meanwhile_lead": "Start one of these meanwhile. You keep your place in line, and choose when it is your turn.",
    "start_now": "Start now",
    "besides": "You are number {place} in line for {title}.",
    "besides_wait": "You are number {place} in line for {title}, expected wait {wait}.",
    "held": "It is your turn: {title} is kept for you until {time}.",
    "take": "Switch to it",
    "switching": "Switching…",
    "give_up": "Give it up",
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
    "confirm_leave_title": "Leave the line?",
    "confirm_leave_text": "Your place for {title} goes to the next. You can come back, but then from the end.",
    "confirm_leave_action": "Leave the line",
    "confirm_take_title": "Switch to {title}?",
    "confirm_take_text": (
        "The instance that runs now is wiped, with all files in it, and a fresh one starts in its place. "
        "Download what you want to keep first."
    ),
    "confirm_take_action": "Wipe and switch",
    # Examples
    "examples_title": "Examples",
    "examples_lead": "Notebooks that are ready to run.",
    "about_time": "about {time}",
    "open_example": "Open",
    "opens_when_ready": "Opens when ready",
    "unavailable": "Not available here",
    "wait_for_wipe": "Wait until the wipe is done.",
    # In one's own cloud
    "own_title": "More than the pool has?",
    "own_title_now": "In your own cloud",
    "own_lead": (
        "Run a notebook in your own cloud account, on a machine of your choice. Your cloud bills you for it; nothing "
        "starts without your yes to its price."
    ),
    "own_paused": "No new paid instances can be made just now. What runs goes on, and you can stop it.",
    "own_link": "Link a cloud account",
    "own_prices": "Prices and machines",
    "own_go": "Paid instances",
    "own_news": "More",
    "own_spent": "Spent in this run, an estimate",
    "own_cap": "of {cap} at most",
    "own_left": "Ends by itself in {time}",
    "own_stop": "Stop…",
    "own_delete": "Delete…",
    # When something is wrong
    "closes_at": "The platform closes for maintenance at {time}. What runs then is wiped; nobody new is let in.",
    "closed": "The platform is closed for maintenance: nobody new is let in. What runs goes on.",
    "reconnecting": "Reconnecting…",
    "no_answer": "The desk did not answer.",
    "no_answer_next": "Check your connection, then try again.",
    "signed_out": "You are signed out.",
    "signed_out_next": "Load this page again to sign in.",
    "unknown_error": "That did not work.",
    "unknown_error_next": "Try again in a moment.",
}
