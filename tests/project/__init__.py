"""What the repository says of itself: wheel, workflows, addresses, benchmarks, files."""
