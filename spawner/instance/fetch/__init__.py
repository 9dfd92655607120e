"""Fetches what an open link names into the workspace, for the desk, and makes a link of a file that is there."""
