"""A finding for each broken loop, on its line; none for its repaired twin or a sound loop."""
