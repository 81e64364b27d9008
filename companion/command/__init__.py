"""What `python -m companion` does: run a script, find its loop, report."""
