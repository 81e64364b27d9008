"""Records are written and read back whole; a damaged or foreign file is refused in words."""
