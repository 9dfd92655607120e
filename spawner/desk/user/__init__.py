"""The user's page, its API and its live state."""
