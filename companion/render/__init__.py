"""Views of a trace: text, rows, a figure, the player. They read records and never measure."""
