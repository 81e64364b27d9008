"""The guard: what is still looked at when no line is watched any more, for next to no time.

From simple to complex: `pace` (when to look), `norms` (one read of all gradients), `judges` (what
is worth a word), `scales` (a GradScaler's), `one` (an optimizer's steps), `guard` (all of them).
"""
