"""The package against torch and Python alone: all that `make matrix` copies."""
