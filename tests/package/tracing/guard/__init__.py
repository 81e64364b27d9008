"""The guard: what it says of a planted fault, and that it is quiet and unnoticed elsewhere."""
