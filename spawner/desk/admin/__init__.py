"""The administrator's page, its API and the metrics."""
