"""Which line changed what, in loops of every shape, and nothing is left behind."""
