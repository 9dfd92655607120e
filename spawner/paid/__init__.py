"""The paid path: instances in users' own cloud accounts, each run with a recorded consent."""
