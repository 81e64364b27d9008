"""`companion explain` and `companion rules`: what the diagnosis knows, shown by loops that run."""
