"""How a run of the suite goes: which tests run where and when, what a failure shows, and that nothing is left."""
