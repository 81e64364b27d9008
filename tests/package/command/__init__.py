"""`python -m companion`: what it says, and that the script runs as it would alone."""
