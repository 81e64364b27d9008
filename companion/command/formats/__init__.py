"""The report as programs read it: JSON of our own, SARIF, annotations of GitHub."""
