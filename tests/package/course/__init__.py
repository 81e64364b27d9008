"""What the chapters import: the network, the data, the routine itself."""
