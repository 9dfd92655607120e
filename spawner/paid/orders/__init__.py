"""One order per paid instance: policy, execution, reconciliation, discovery."""
