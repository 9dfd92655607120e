"""The question to the user, the recorded consent, and the rules for both."""
