"""Open links: the page that says what a link names, and what opens it in the user's notebook."""
