"""Graphs that are cut."""
