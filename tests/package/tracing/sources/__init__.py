"""What tells of calls and lines."""
