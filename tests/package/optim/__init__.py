"""Our optimizers are torch's, bit for bit, and refuse what torch refuses."""
