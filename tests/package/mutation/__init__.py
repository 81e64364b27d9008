"""Mutants: scripts that train rightly, with one mistake put in, or with a change that is none."""
