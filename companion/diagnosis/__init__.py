"""Records become findings: the ledger of backward calls, and the rules that read it.

What no rule can tell, because nothing outside shows it: wrong data or labels; a graph that is
cut where the watched code does not show it; a learning rate that is merely too large or too
small; and mistakes inside code whose lines were not watched.
"""
