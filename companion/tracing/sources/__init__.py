"""Where a follower hears of calls and lines: `sys.settrace`, or `sys.monitoring`."""
