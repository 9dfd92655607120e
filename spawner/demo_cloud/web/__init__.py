"""The cloud's web pages: console, sign-in, stacks."""
