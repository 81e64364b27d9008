"""Each notebook is executed and each output compared; what the pages of words say is so."""
