"""Recorded use of real instances, and what replays it."""
