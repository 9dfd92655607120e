"""Linked cloud accounts."""
