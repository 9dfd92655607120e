"""Rows of people's own channels: addresses for messages when no page is open, and the messages."""
