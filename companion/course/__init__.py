"""What the chapters use beside the trace, and what `companion` can use but does not need."""
