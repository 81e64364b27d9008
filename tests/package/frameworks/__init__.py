"""Real libraries that run the loop for their users: what is said of it."""
