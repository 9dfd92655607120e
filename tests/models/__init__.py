"""The model cache."""
