"""Running a notebook as a script: its code cells, in order, in one namespace."""
