"""Views of a trace. They read records and never measure."""
