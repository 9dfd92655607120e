"""What keeps files beyond an instance: what has changed, bundles, and pushes to places of the user's own."""
