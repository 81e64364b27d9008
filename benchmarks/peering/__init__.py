"""What `benchmarks/peers.py` is made of: the loops, the peers, and what their messages mean."""
