"""The cloud's API: signatures, policies, operations, faults."""
