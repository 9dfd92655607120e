"""Cloud providers that bill users."""
