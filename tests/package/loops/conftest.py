"""The scripts run when they are imported, so pytest must not collect them for doctests."""

collect_ignore_glob = ["real_*.py"]
