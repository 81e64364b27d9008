"""The built book: every page in a real browser, without one, on paper and from a disk."""
