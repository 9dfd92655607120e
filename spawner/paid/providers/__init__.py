"""Clouds that a person may be billed by."""
