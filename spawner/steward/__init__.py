"""The steward: keeps promises over time. One file per promise; `loop` runs them; every decision is a pure function."""
