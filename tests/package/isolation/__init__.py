"""A watched script ends as it would alone."""
