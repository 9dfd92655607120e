"""English texts of the user page's script.

They are here so that they are translated together with the templates. The script fills the `{placeholders}`, with
numbers and times in the format of the user's language.
"""

USER_STRINGS: dict[str, str] = {
    # No instance yet
    "hero_title": "Start a free notebook",
    "hero_lead": "JupyterLab in your browser, ready in a second.",
    "fine_print": "Free of charge; no cloud account needed. All files are deleted when it stops or restarts.",
    "fine_print_kept": (
        "Free of charge; no cloud account needed. When your notebook reaches its time limit, is idle, or is stopped by "
        "an administrator or for maintenance, its changed files are kept, up to the limit. If you stop or restart it, "
        "they are deleted."
    ),
    "flavor_legend": "Machine type",
    "shape_cpu": "{n} CPU",
    "shape_memory": "{size} memory",
    "shape_disk": "{size} disk",
    "shape_time": "up to {time}",
    "shape_accelerator": "{name} with {size}",
    "shape_accelerators": "{n} × {name} with {size}",
    "stock_warm": "Ready in a second",
    "stock_free": "{n} available",
    "stock_none": "None available right now",
    "stock_first": "you would be next",
    "stock_wait": "wait {wait}",
    "stock_line": "{n} in the queue",
    "stock_line_wait": "{n} in the queue, wait {wait}",
    "nothing_free": "All notebooks are in use right now. This page updates automatically.",
    "queue_hint": (
        "All notebooks of this type are in use. Join the queue: your notebook starts automatically when "
        "it is your turn, even if you close this page."
    ),
    "join": "Join the queue",
    "joining": "Joining the queue…",
    "no_flavors": "No notebooks available yet: the administrator has not set up any machine types.",
    "no_images": "No notebooks available yet: no image has been installed.",
    "image": "Image",
    "image_unavailable": "{title} (unavailable: {reason})",
    "start": "Start",
    "starting": "Starting…",
    "dismiss": "Dismiss",
    "details": "Details",
    # In line
    "in_line": "You are in the queue.",
    "state_waiting": "In the queue",
    "line_title": "You are number {place} in the queue",
    "line_lead": "Your notebook starts automatically when it is your turn. You can close this page.",
    "turn_title": "It is your turn",
    "turn_lead": "Your notebook is starting.",
    "place_of": "{place} of {n} in the queue",
    "expected_wait": "Estimated wait",
    "wait_unknown": "not available yet",
    "wait_hint": "Estimate from recent sessions; about 60% of waits fall in this range.",
    "waiting_for": "Time in queue",
    "leave": "Leave the queue",
    "leaving": "Leaving…",
    "notify": "Notify me when it is my turn",
    "notify_on": "You will get a notification in this browser.",
    "notify_ready": "{title}: your notebook is starting.",
    "notify_held": "{title} is reserved for you.",
    "meanwhile_title": "Available now",
    "meanwhile_lead": (
        "Start one of these in the meantime. You keep your place in the queue and decide when it is your turn."
    ),
    "start_now": "Start now",
    "besides": "You are number {place} in the queue for {title}.",
    "besides_wait": "You are number {place} in the queue for {title}. Estimated wait: {wait}.",
    "held": "It is your turn: {title} is reserved for you until {time}.",
    "take": "Switch",
    "switching": "Switching…",
    "give_up": "Decline",
    # An instance
    "state_starting": "Starting",
    "state_running": "Running",
    "state_stopping": "Stopping",
    "starting_title": "Starting your notebook",
    "running_title": "Your notebook is ready",
    "renamed_title": "Your notebook runs under your previous name",
    "switching_lead": "All files are being deleted. Then a new notebook starts.",
    "progress": "Progress",
    "waiting": "Requesting a notebook",
    "example_waits": "“{title}” opens automatically when your notebook is ready.",
    "cancel": "Cancel",
    "cancelling": "Cancelling…",
    "open": "Open JupyterLab",
    "new_tab": "opens in a new tab",
    "restart": "Restart (deletes all files)",
    "restarting": "Restarting…",
    "stop": "Stop",
    "stopping": "Stopping…",
    "time_left": "Time left",
    "ends_at": "ends at {time}",
    "extending": "Extending…",
    "still_here": "I'm still here",
    "notify_end": "Notify me before it ends",
    "ends_soon": "Download the files you want to keep now. They are deleted at the end.",
    "ends_soon_kept": (
        "At the end its changed files are kept, as you have chosen. Download the files you must not lose."
    ),
    "type": "Machine type",
    "running_for": "Running for",
    "started_in": "Startup time",
    "ended": "Your notebook has stopped.",
    # Asking before something is lost
    "confirm_restart_title": "Restart and delete all files?",
    "confirm_restart_text": (
        "All files in this notebook will be deleted and running programs will stop. A new notebook then "
        "starts. Download the files you want to keep first."
    ),
    "confirm_restart_action": "Delete and restart",
    "confirm_stop_title": "Stop and delete all files?",
    "confirm_stop_text": (
        "All files in this notebook will be deleted and cannot be recovered. Download the files you want to keep first."
    ),
    "confirm_stop_action": "Delete and stop",
    "confirm_switch_title": "Restart with another image?",
    "confirm_switch_text": (
        "“{title}” needs the image “{image}”. Your notebook will restart with that image, and all its "
        "files will be deleted. Download the files you want to keep first."
    ),
    "confirm_leave_title": "Leave the queue?",
    "confirm_leave_text": "You will lose your place for {title}. If you come back, you join at the end of the queue.",
    "confirm_leave_action": "Leave the queue",
    "confirm_take_title": "Switch to {title}?",
    "confirm_take_text": (
        "Your current notebook and all its files will be deleted, and a new notebook starts. Download "
        "the files you want to keep first."
    ),
    "confirm_take_action": "Delete and switch",
    # What would be lost
    "loss_checking": "Checking which files would be lost…",
    "loss_unknown": "Which files would be lost is unknown: your notebook did not answer.",
    "loss_none": "No files have changed since your notebook started.",
    "loss_one": "1 file has changed since your notebook started ({size}).",
    "loss_some": "{count} files have changed since your notebook started ({size}).",
    "loss_at_least": "At least {count} files have changed since your notebook started ({size}).",
    "loss_files": "Files",
    "loss_more": "and {count} more",
    "download_files": "Download all files",
    "keep_title": "Kept files",
    "keep_off": "If the platform stops your notebook, its changed files can be kept for some days. This is off.",
    "keep_on": "If the platform stops your notebook, its changed files are kept for some days.",
    "keep_some": "Files of {count} ended notebooks are kept.",
    "keep_one": "Files of 1 ended notebook are kept.",
    "keep_open": "Kept files and setting",
    # Examples
    "examples_title": "Examples",
    "examples_lead": "Ready-to-run notebook files.",
    "about_time": "about {time}",
    "share": "Share",
    "missing": "Not on this server: {titles}",
    "missing_examples": "Examples: {titles}",
    "open_example": "Open",
    "needs_gpu": "a GPU with {size}",
    "example_fits_none": "Needs {needs}: no machine type here has that.",
    "example_needs_restart": "Needs {needs}: more than your running notebook has.",
    "example_downloads": "Downloads {models} first ({size}).",
    "example_downloads_time": "Downloads {models} first ({size}, usually about {time}).",
    "opens_when_ready": "Opens when ready",
    "unavailable": "Not available here",
    "wait_for_wipe": "You can open it when your notebook has stopped.",
    # In one's own cloud
    "own_title": "Need more power?",
    "own_title_now": "In your own cloud",
    "own_lead": (
        "Run a notebook in your own cloud account on a machine type of your choice. The cloud provider "
        "bills you; nothing starts until you approve the price."
    ),
    "own_paused": (
        "New paid notebooks cannot be created right now. Running notebooks continue, and you can stop them."
    ),
    "own_link": "Link a cloud account",
    "own_prices": "Machine types and prices",
    "own_go": "Paid notebooks",
    "own_news": "More",
    "own_spent": "Cost of this session (estimate)",
    "own_cap": "limit {cap}",
    "own_left": "Stops automatically in {time}",
    "own_stop": "Stop…",
    "own_delete": "Delete…",
    # When something is wrong
    "closes_at": (
        "Maintenance starts at {time}. Notebooks still running then will be stopped: download your files before then. "
        "New notebooks cannot be started now."
    ),
    "closed": (
        "The platform is under maintenance. New notebooks cannot be started; running notebooks are not affected."
    ),
    "reconnecting": "Reconnecting…",
    "no_answer": "The server did not respond.",
    "no_answer_next": "Check your internet connection, then try again.",
    "signed_out": "You are signed out.",
    "signed_out_next": "Reload this page to sign in.",
    "unknown_error": "Something went wrong.",
    "unknown_error_next": "Try again in a moment.",
}
