"""The steward: keeps ledger and pool in step over time. `runner` runs its rounds; the decisions are pure functions."""
