"""What can be told from a frame and its code: statements, variables, writes that go uncounted."""
