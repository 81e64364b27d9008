"""What counts as a change, whichever way a tensor was written."""
