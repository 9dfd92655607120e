"""The alerts, by Prometheus itself."""
