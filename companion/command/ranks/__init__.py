"""A script that runs in several processes: they meet through files, and one of them reports."""
