"""Warm slots: how many are kept ready, and why."""
