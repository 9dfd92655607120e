"""What keeps files beyond an instance."""
