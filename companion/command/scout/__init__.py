"""Finding the training loop of a script that nobody edited."""
