"""What the course grew from, run as it was: the page "Then and now"."""
