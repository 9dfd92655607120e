"""The cache of models."""
