"""Tensors become readings, and two moments become "what changed"."""
