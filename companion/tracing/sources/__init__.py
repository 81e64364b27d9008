"""Where a follower hears of calls and lines: `sys.monitoring`, or on older Pythons `sys.settrace`.

`source` says what both share, `settrace` and `monitoring` are the two (the latter's one tool is at
the `desk`), and `choice` takes one.
"""
