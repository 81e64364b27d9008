"""What a line did beside changing values: calls of torch, graphs that grow, what a step moves."""
